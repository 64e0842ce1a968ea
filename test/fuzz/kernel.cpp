// SPDX-License-Identifier: BSL-1.0
#include "kernel.hpp"

#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdlib>
#include <cstring>

namespace heddle::testing {

kernel& kernel::instance() {
  static kernel one;
  return one;
}

void kernel::begin(std::size_t address_space) {
  *this = {};
  address_space_ = address_space;
  active_ = true;
}

void kernel::end() {
  active_ = false;
  for (const auto& [from, to] : mappings_) ::munmap(reinterpret_cast<void*>(from), to - from);
  mappings_.clear();
}

bool kernel::refuses() noexcept {
  if (times_ == 0) return false;
  if (grace_ != 0) return --grace_, false;
  --times_;
  ++refusals_;
  errno = ENOMEM;
  return true;
}

bool kernel::exceeds(std::size_t bytes) noexcept {
  if (address_space_ == SIZE_MAX) return false;
  if (bytes < address_space_ && mapped(0, UINTPTR_MAX) <= address_space_ - bytes) return false;
  ++refusals_;
  errno = ENOMEM;
  return true;
}

std::size_t kernel::mapped(std::uintptr_t from, std::uintptr_t to) const {
  std::size_t sum = 0;
  for (const auto& [begin, end] : mappings_)
    if (begin < to && end > from) sum += std::min(end, to) - std::max(begin, from);
  return sum;
}

void kernel::add(const void* at, std::size_t bytes) {
  remove(at, bytes);
  const auto from = reinterpret_cast<std::uintptr_t>(at);
  mappings_.emplace(from, from + bytes);
}

void kernel::remove(const void* at, std::size_t bytes) {
  const auto from = reinterpret_cast<std::uintptr_t>(at);
  const std::uintptr_t to = from + (bytes + 4095) / 4096 * 4096;
  auto it = mappings_.upper_bound(from);
  if (it != mappings_.begin()) --it;
  while (it != mappings_.end() && it->first < to) {
    const auto [begin, end] = *it;
    if (end <= from) {
      ++it;
      continue;
    }
    it = mappings_.erase(it);
    if (begin < from) mappings_.emplace(begin, from);
    if (end > to) it = mappings_.emplace(to, end).first;
  }
}

/// SplitMix64.
std::uint64_t kernel::random() noexcept {
  std::uint64_t z = random_ += 0x9e37'79b9'7f4a'7c15U;
  z = (z ^ z >> 30) * 0xbf58'476d'1ce4'e5b9U;
  z = (z ^ z >> 27) * 0x94d0'49bb'1331'11ebU;
  return z ^ z >> 31;
}

// The names that the linker gives to the functions themselves, and those to which it takes their calls.
void* real_mmap(void*, std::size_t, int, int, int, off_t) __asm__("__real_mmap");
int real_munmap(void*, std::size_t) __asm__("__real_munmap");
void* real_mremap(void*, std::size_t, std::size_t, int, ...) __asm__("__real_mremap");
int real_mprotect(void*, std::size_t, int) __asm__("__real_mprotect");
int real_madvise(void*, std::size_t, int) __asm__("__real_madvise");
ssize_t real_getrandom(void*, std::size_t, unsigned) __asm__("__real_getrandom");
int real_getrlimit(int, rlimit*) __asm__("__real_getrlimit");
ssize_t real_write(int, const void*, std::size_t) __asm__("__real_write");
[[noreturn]] void real_abort() __asm__("__real_abort");

void* wrapped_mmap(void*, std::size_t, int, int, int, off_t) __asm__("__wrap_mmap");
int wrapped_munmap(void*, std::size_t) __asm__("__wrap_munmap");
void* wrapped_mremap(void*, std::size_t, std::size_t, int, ...) __asm__("__wrap_mremap");
int wrapped_mprotect(void*, std::size_t, int) __asm__("__wrap_mprotect");
int wrapped_madvise(void*, std::size_t, int) __asm__("__wrap_madvise");
ssize_t wrapped_getrandom(void*, std::size_t, unsigned) __asm__("__wrap_getrandom");
int wrapped_getrlimit(int, rlimit*) __asm__("__wrap_getrlimit");
ssize_t wrapped_write(int, const void*, std::size_t) __asm__("__wrap_write");
[[noreturn]] void wrapped_abort() __asm__("__wrap_abort");

void* wrapped_mmap(void* at, std::size_t bytes, int protection, int flags, int file, off_t offset) {
  kernel& k = kernel::instance();
  if (k.active() && (k.refuses() || k.exceeds(bytes))) return MAP_FAILED;
  void* const p = real_mmap(at, bytes, protection, flags, file, offset);
  if (!k.active()) return p;
  p == MAP_FAILED ? k.note_failure() : k.add(p, bytes);
  return p;
}

int wrapped_munmap(void* at, std::size_t bytes) {
  kernel& k = kernel::instance();
  if (k.active() && k.refuses()) return -1;
  const int result = real_munmap(at, bytes);
  if (k.active() && result == 0) k.remove(at, bytes);
  return result;
}

void* wrapped_mremap(void* from, std::size_t old_bytes, std::size_t bytes, int flags, ...) {
  void* to = nullptr;
  if ((flags & MREMAP_FIXED) != 0) {
    va_list rest;
    va_start(rest, flags);
    to = va_arg(rest, void*);
    va_end(rest);
  }
  kernel& k = kernel::instance();
  if (k.active() && (k.refuses() || (bytes > old_bytes && k.exceeds(bytes - old_bytes)))) return MAP_FAILED;
  void* const p = real_mremap(from, old_bytes, bytes, flags, to);
  if (!k.active()) return p;
  if (p == MAP_FAILED) return k.note_failure(), p;
#ifdef MREMAP_DONTUNMAP
  if ((flags & MREMAP_DONTUNMAP) == 0)
#endif
    k.remove(from, old_bytes);
  k.add(p, bytes);
  return p;
}

int wrapped_mprotect(void* at, std::size_t bytes, int protection) {
  kernel& k = kernel::instance();
  return k.active() && k.refuses() ? -1 : real_mprotect(at, bytes, protection);
}

int wrapped_madvise(void* at, std::size_t bytes, int advice) {
  kernel& k = kernel::instance();
  return k.active() && k.refuses() ? -1 : real_madvise(at, bytes, advice);
}

ssize_t wrapped_getrandom(void* to, std::size_t bytes, unsigned flags) {
  kernel& k = kernel::instance();
  if (!k.active()) return real_getrandom(to, bytes, flags);
  if (k.refuses()) return -1;
  for (std::size_t i = 0; i < bytes; i += 8) {
    const std::uint64_t word = k.random();
    std::memcpy(static_cast<char*>(to) + i, &word, std::min<std::size_t>(8, bytes - i));
  }
  return static_cast<ssize_t>(bytes);
}

int wrapped_getrlimit(int what, rlimit* to) {
  kernel& k = kernel::instance();
  if (!k.active() || what != RLIMIT_AS || k.address_space() == SIZE_MAX) return real_getrlimit(what, to);
  to->rlim_cur = to->rlim_max = k.address_space();
  return 0;
}

ssize_t wrapped_write(int file, const void* from, std::size_t bytes) {
  const kernel& k = kernel::instance();
  if (file == kernel::sink || (k.expecting() && file == STDERR_FILENO)) return static_cast<ssize_t>(bytes);
  return real_write(file, from, bytes);
}

void wrapped_abort() {
  kernel& k = kernel::instance();
  if (k.expecting()) k.go_back();
  real_abort();
}

}  // namespace heddle::testing
