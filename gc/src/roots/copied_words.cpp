// SPDX-License-Identifier: BSL-1.0
#include "roots/copied_words.hpp"

#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>

namespace heddle::gc::detail {
namespace {

constexpr std::size_t page = 4096;

/// Set once the kernel, or a filter of system calls, has refused the call for the process's own memory.
constinit std::atomic<bool> refused{false};

std::size_t rest_of_page(const char* at) noexcept { return page - reinterpret_cast<std::uintptr_t>(at) % page; }

/// By syscall(), which the sanitizers do not intercept. One element for each page: the kernel promises not to stop for
/// one that it cannot read before it has copied those that come before.
ssize_t copy_by_address(void* to, const void* from, std::size_t n) noexcept {
  const iovec here{to, n};
  iovec there[longest_copy / page + 1];
  std::size_t pages = 0;
  for (const char* at = static_cast<const char*>(from); n != 0; ++pages) {
    const std::size_t part = std::min(n, rest_of_page(at));
    there[pages] = {const_cast<char*>(at), part};
    at += part;
    n -= part;
  }
  // Whole registers: what an int leaves in the upper half of one would be flags.
  return ::syscall(SYS_process_vm_readv, ::getpid(), &here, 1UL, there, pages, 0UL);
}

/// For want of anything better: faults where there is no memory.
[[gnu::no_sanitize_address, gnu::no_sanitize_thread]] std::size_t copy_at_risk(void* to, const void* from,
                                                                               std::size_t n) noexcept {
  auto* const out = static_cast<volatile char*>(to);
  for (std::size_t i = 0; i != n; ++i) out[i] = static_cast<const volatile char*>(from)[i];
  return n;
}

/// As copy_by_address(), through a pipe, for the filters of system calls that let no process read another: write()
/// reports memory that it cannot read. The pipe is made for the one call, so that no child of a fork shares it for
/// longer.
std::size_t copy_by_pipe(void* to, const void* from, std::size_t n) noexcept {
  int ends[2];
  if (::syscall(SYS_pipe2, ends, O_CLOEXEC | O_NONBLOCK) != 0)
    return copy_at_risk(to, from, n);  // no descriptor is free
  // A page at a time: of one that follows and cannot be read the kernel takes the part before it along.
  n = std::min(n, rest_of_page(static_cast<const char*>(from)));
  const ssize_t written = ::syscall(SYS_write, ends[1], from, n);
  const ssize_t got = written > 0 ? ::syscall(SYS_read, ends[0], to, written) : 0;
  ::syscall(SYS_close, ends[0]);
  ::syscall(SYS_close, ends[1]);
  return got > 0 ? static_cast<std::size_t>(got) : 0;
}

}  // namespace

std::size_t try_copy(void* to, const void* from, std::size_t n) noexcept {
  const int kept = errno;
  std::size_t got = 0;
  if (!refused.load(std::memory_order_relaxed)) {
    const ssize_t result = copy_by_address(to, from, n);
    if (result > 0) got = static_cast<std::size_t>(result);
    if (result < 0 && errno != EFAULT) refused.store(true, std::memory_order_relaxed);
  }
  if (refused.load(std::memory_order_relaxed)) [[unlikely]]
    got = copy_by_pipe(to, from, n);
  errno = kept;
  return got;
}

void tell_copied(root_sink& sink, const void* from, std::size_t n) noexcept {
  constexpr std::size_t word = sizeof(void*);
  const char* const end = static_cast<const char*>(from) + n;
  const char* at = static_cast<const char*>(from) + -reinterpret_cast<std::uintptr_t>(from) % word;
  alignas(64) char copy[longest_copy];
  while (at < end) {
    std::size_t got = try_copy(copy, at, std::min(longest_copy, static_cast<std::size_t>(end - at)));
    got -= got % word;
    if (got != 0) sink.words(copy, copy + got);
    at += got != 0 ? got : rest_of_page(at);
  }
}

}  // namespace heddle::gc::detail
