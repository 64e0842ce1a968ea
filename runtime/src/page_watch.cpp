// SPDX-License-Identifier: BSL-1.0
#include "page_watch.hpp"

#include <algorithm>
#include <array>

#include "heddle/detail/fake_frames.hpp"
#include "heddle/detail/platform.hpp"
#include "stack_memory.hpp"

#if !defined(HEDDLE_MODEL) || !HEDDLE_MODEL
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "valgrind.hpp"
#endif

namespace heddle::detail::page_watch {
namespace {

constinit std::uint32_t now_era = 1;

}  // namespace

std::uint32_t era() noexcept { return now_era; }

#if defined(HEDDLE_MODEL) && HEDDLE_MODEL

namespace {

// Pages that lie so many pages apart share one.
constexpr std::size_t pages = 256;
constinit std::array<atomic<std::uint8_t>, pages> is_protected{};

atomic<std::uint8_t>& page_of(const void* p) noexcept {
  return is_protected[reinterpret_cast<std::uintptr_t>(p) / page_size % pages];
}

}  // namespace

bool begin() noexcept { return true; }
bool watch(char*, std::size_t) noexcept { return true; }

// seq_cst, all: the kernel's page tables change under locks, and a store waits for the fault that comes before it.
void protect(const char* at, std::size_t bytes) noexcept {
  for (std::size_t i = 0; i < bytes; i += page_size) page_of(at + i).store(1, std::memory_order_seq_cst);
}
bool for_each_written(const char* at, std::size_t bytes, void (*f)(void*, const char*, const char*),
                      void* argument) noexcept {
  for (const char* p = at; p < at + bytes; p += page_size)
    if (page_of(p).load(std::memory_order_seq_cst) == 0) f(argument, p, p + page_size);
  return true;
}
void note_write(const void* p) noexcept { page_of(p).store(0, std::memory_order_seq_cst); }
void forget() noexcept {
  ++now_era;
  for (auto& p : is_protected) p.store(0, std::memory_order_relaxed);
}

#else

namespace {

// Absent from older headers.
constexpr std::uint64_t feature_wp_unpopulated = std::uint64_t{1} << 13;
constexpr std::uint64_t feature_wp_async = std::uint64_t{1} << 15;
constexpr int user_mode_only = 1;  // without it, privileges are needed
struct page_region {
  std::uint64_t start;
  std::uint64_t end;
  std::uint64_t categories;
};
struct scan_argument {
  std::uint64_t size;
  std::uint64_t flags;
  std::uint64_t start;
  std::uint64_t end;
  std::uint64_t walk_end;
  std::uint64_t vec;
  std::uint64_t vec_len;
  std::uint64_t max_pages;
  std::uint64_t category_inverted;
  std::uint64_t category_mask;
  std::uint64_t category_anyof_mask;
  std::uint64_t return_mask;
};
constexpr unsigned long pagemap_scan = _IOWR('f', 16, scan_argument);
constexpr std::uint64_t is_written = 1U << 1, is_present = 1U << 3, is_swapped = 1U << 4;

/// The kernel keeps others from mapping memory while it looks at page tables: some tens of microseconds.
constexpr std::uint64_t slice = std::uint64_t{64} << 20;

enum class state : std::uint8_t { unknown, none, ready };
constinit state found = state::unknown;
constinit int faults = -1;   // of userfaultfd
constinit int pagemap = -1;  // of the process's page tables

void close_all() noexcept {
  if (faults >= 0) ::close(faults);
  if (pagemap >= 0) ::close(pagemap);
  faults = pagemap = -1;
}

bool open_all() noexcept {
#ifdef HEDDLE_ASAN
  return false;
#endif
  if (under_valgrind()) return false;
  faults = static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | user_mode_only));
  if (faults < 0) return false;
  uffdio_api api{};
  api.api = UFFD_API;
  api.features = UFFD_FEATURE_PAGEFAULT_FLAG_WP | feature_wp_unpopulated | feature_wp_async;
  if (::ioctl(faults, UFFDIO_API, &api) != 0) return false;
  pagemap = ::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  return pagemap >= 0;
}

std::uint64_t number_of(const char* p) noexcept { return reinterpret_cast<std::uintptr_t>(p); }

}  // namespace

bool begin() noexcept {
  if (found != state::unknown) return found == state::ready;
  const int error = errno;
  found = open_all() ? state::ready : state::none;
  if (found == state::none) close_all();
  errno = error;
  return found == state::ready;
}

bool watch(char* at, std::size_t bytes) noexcept {
  uffdio_register r{};
  r.range = {number_of(at), bytes};
  r.mode = UFFDIO_REGISTER_MODE_WP;
  return ::ioctl(faults, UFFDIO_REGISTER, &r) == 0;
}

void protect(const char* at, std::size_t bytes) noexcept {
  uffdio_writeprotect w{};
  w.range = {number_of(at), bytes};
  w.mode = UFFDIO_WRITEPROTECT_MODE_WP;
  while (::ioctl(faults, UFFDIO_WRITEPROTECT, &w) != 0 && (errno == EAGAIN || errno == EINTR)) {
  }
}

bool for_each_written(const char* at, std::size_t bytes, void (*f)(void*, const char*, const char*),
                      void* argument) noexcept {
  std::array<page_region, 256> regions;
  scan_argument a{};
  a.size = sizeof a;
  a.vec = reinterpret_cast<std::uintptr_t>(regions.data());
  a.vec_len = regions.size();
  // A page that has never had memory counts as written, too, and is left out. A page that was written may be swapped
  // out.
  a.category_mask = is_written;
  a.category_anyof_mask = is_present | is_swapped;
  a.return_mask = is_written;
  const std::uint64_t end = number_of(at) + bytes;
  for (a.start = number_of(at); a.start < end; a.start = a.walk_end) {
    a.end = std::min(a.start + slice, end);
    a.walk_end = 0;
    const int n = ::ioctl(pagemap, pagemap_scan, &a);
    if (n < 0 && errno == EINTR) {
      a.walk_end = a.start;
      continue;
    }
    if (n < 0 || a.walk_end <= a.start) {
      found = state::none;  // an older kernel, or the program has closed the descriptor
      return false;
    }
    for (int i = 0; i != n; ++i)
      f(argument, reinterpret_cast<const char*>(regions[static_cast<std::size_t>(i)].start),
        reinterpret_cast<const char*>(regions[static_cast<std::size_t>(i)].end));
  }
  return true;
}

void forget() noexcept {
  ++now_era;
  close_all();
  found = state::unknown;
}

#endif

}  // namespace heddle::detail::page_watch
