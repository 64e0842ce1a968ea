// SPDX-License-Identifier: BSL-1.0
#include <elf.h>
#include <link.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <ctime>

#include "heddle/detail/platform.hpp"
#include "os.hpp"

namespace heddle::detail::os {
namespace {

void* map_anonymous(void* at, std::size_t bytes, int protection, int flags) noexcept {
  const errno_kept keep;
  void* const p = ::mmap(at, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
  return p == MAP_FAILED ? nullptr : p;
}

}  // namespace

void* reserve_closed(std::size_t bytes) noexcept { return map_anonymous(nullptr, bytes, PROT_NONE, MAP_NORESERVE); }

bool close(void* at, std::size_t bytes) noexcept {
  return map_anonymous(at, bytes, PROT_NONE, MAP_NORESERVE | MAP_FIXED) != nullptr;
}

map_result map_at(void* at, std::size_t bytes) noexcept {
  const errno_kept keep;
  constexpr int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE;
  void* const p = ::mmap(at, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (p == at) return map_result::mapped;
  if (p == MAP_FAILED) return errno == EEXIST ? map_result::taken : map_result::no_memory;
  ::munmap(p, bytes);  // a kernel before 4.17 takes the address as a hint
  return map_result::taken;
}

void* map(std::size_t bytes, std::size_t alignment) noexcept {
  constexpr std::size_t os_page = 4096;
  if (alignment <= os_page) return map_anonymous(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_NORESERVE);
  const std::size_t more = bytes + alignment - os_page;
  if (more < bytes) return nullptr;
  auto* const p = static_cast<char*>(map_anonymous(nullptr, more, PROT_READ | PROT_WRITE, MAP_NORESERVE));
  if (p == nullptr) return nullptr;
  const std::size_t before = (0 - reinterpret_cast<std::uintptr_t>(p)) & (alignment - 1);
  const std::size_t after = more - before - bytes;
  if (before != 0) unmap(p, before);
  if (after != 0) unmap(p + before + bytes, after);
  return p + before;
}

bool commit(void* at, std::size_t bytes) noexcept {
  const errno_kept keep;
  return ::mprotect(at, bytes, PROT_READ | PROT_WRITE) == 0;
}

void unmap(void* at, std::size_t bytes) noexcept {
  const errno_kept keep;
  // Refused where it would split a mapping of which there are too many: then at least the memory goes.
  if (::munmap(at, bytes) != 0) ::madvise(at, bytes, MADV_DONTNEED);
}

bool drop(void* at, std::size_t bytes) noexcept {
  const errno_kept keep;
  return ::madvise(at, bytes, MADV_DONTNEED) == 0;
}

void populate([[maybe_unused]] void* at, [[maybe_unused]] std::size_t bytes) noexcept {
#ifdef MADV_POPULATE_WRITE
  const errno_kept keep;
  ::madvise(at, bytes, MADV_POPULATE_WRITE);  // since Linux 5.14; before, an error that costs little
#endif
}

void* remap(void* at, std::size_t old_bytes, std::size_t new_bytes) noexcept {
  const errno_kept keep;
  void* const p = ::mremap(at, old_bytes, new_bytes, MREMAP_MAYMOVE);
  return p == MAP_FAILED ? nullptr : p;
}

namespace {

#if defined(HEDDLE_HEARS_CALLS)
constinit atomic<bool> may_have_locks{false};
#else
constinit atomic<bool> may_have_locks{true};
#endif

/// Whether memory of these pages is locked (mlock, mlockall). A call that does nothing else for memory of no file.
[[maybe_unused]] bool is_locked(void* at, std::size_t bytes) noexcept {
  return may_have_locks.load(std::memory_order_relaxed) && ::msync(at, bytes, MS_ASYNC | MS_INVALIDATE) != 0 &&
         errno == EBUSY;
}

}  // namespace

void hear_of_locks() noexcept { may_have_locks.store(true, std::memory_order_relaxed); }

void* move_pages([[maybe_unused]] void* from, [[maybe_unused]] std::size_t bytes) noexcept {
#ifdef MREMAP_DONTUNMAP
  const errno_kept keep;
  // The kernel would unlock the whole mapping that these pages leave: as a rule all that the heap has.
  if (is_locked(from, bytes)) return nullptr;
  void* const p = ::mremap(from, bytes, bytes, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, nullptr);
  return p == MAP_FAILED ? nullptr : p;
#else
  return nullptr;
#endif
}

void move_back(void* moved, void* to, std::size_t bytes) noexcept {
  const errno_kept keep;
  if (::mremap(moved, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to) return;
  std::memcpy(to, moved, bytes);
  ::munmap(moved, bytes);
}

void advise_huge_pages(void* at, std::size_t bytes, bool wanted) noexcept {
  const errno_kept keep;
  ::madvise(at, bytes, wanted ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
}

namespace {

void (*told_of_faults)(const void* at) = nullptr;

void handle_fault(int signal, siginfo_t* info, void*) {
  if (info->si_code > 0) told_of_faults(info->si_addr);  // else somebody has sent it
  ::signal(signal, SIG_DFL);
  if (info->si_code <= 0) ::raise(signal);
}

}  // namespace

void on_fault(void (*f)(const void* at)) noexcept {
  const errno_kept keep;
  struct sigaction before {};
  if (::sigaction(SIGSEGV, nullptr, &before) != 0 || (before.sa_flags & SA_SIGINFO) || before.sa_handler != SIG_DFL)
    return;
  told_of_faults = f;
  struct sigaction action {};
  action.sa_sigaction = handle_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  ::sigemptyset(&action.sa_mask);
  ::sigaction(SIGSEGV, &action, nullptr);
}

namespace {

/// Where the dynamic loader lies; 0: the program has none.
std::uintptr_t loader() noexcept {
  const errno_kept keep;
  if (const std::uintptr_t base = ::getauxval(AT_BASE); base != 0) return base;
  // For the kernel it is the program itself, if it was started as one: `ld.so PROGRAM`. Then it tells debuggers. Weak,
  // since a program without a loader lacks the symbol; by its address, since a program would get a copy of the object.
  const r_debug* told = nullptr;
  asm(".weak _r_debug\n\tmovq _r_debug@GOTPCREL(%%rip), %0" : "=r"(told));
  return told != nullptr ? told->r_ldbase : 0;
}

}  // namespace

bool in_loader(const void* code) noexcept {
  const std::uintptr_t base = loader();
  if (base == 0) return false;
  const auto& header = *reinterpret_cast<const Elf64_Ehdr*>(base);
  const auto* const segments = reinterpret_cast<const Elf64_Phdr*>(base + header.e_phoff);
  for (unsigned i = 0; i != header.e_phnum; ++i)
    if (segments[i].p_type == PT_LOAD &&
        reinterpret_cast<std::uintptr_t>(code) - base - segments[i].p_vaddr < segments[i].p_memsz)
      return true;
  return false;
}

bool is_privileged() noexcept {
  const errno_kept keep;
  return ::getauxval(AT_SECURE) != 0;
}

std::size_t address_space_limit() noexcept {
  const errno_kept keep;
  rlimit limit{};
  if (::getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return SIZE_MAX;
  return limit.rlim_cur;
}

std::size_t random_bits() noexcept {
  const errno_kept keep;
  std::size_t bits = 0;
  if (::getrandom(&bits, sizeof bits, GRND_NONBLOCK) == sizeof bits) return bits;
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return (static_cast<std::size_t>(t.tv_nsec) * 0x9e37'79b9'7f4a'7c15U) ^ static_cast<std::size_t>(::getpid());
}

}  // namespace heddle::detail::os
