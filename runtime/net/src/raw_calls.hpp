// SPDX-License-Identifier: BSL-1.0
//
// The system calls of each read and write, without the C library's functions, which are cancellation points: those cost
// more on threads than the rest of a call does here, and a cancelled thread would unwind through functions that do not
// throw. Nor does a library that puts itself before those functions see our calls.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstddef>

#include "heddle/detail/polled.hpp"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define HEDDLE_SANITIZED
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define HEDDLE_SANITIZED
#endif
#endif

namespace heddle::io::detail {

#if defined(HEDDLE_SANITIZED) || defined(HEDDLE_CALLS_OF_LIBC)
// The sanitizers look at the memory that the functions are given; tests that hinder calls put themselves before them.
inline std::ptrdiff_t raw_receive(int fd, void* to, std::size_t n) noexcept { return ::recv(fd, to, n, 0); }
inline std::ptrdiff_t raw_send(int fd, const void* from, std::size_t n) noexcept {
  return ::send(fd, from, n, MSG_NOSIGNAL);
}
#else
namespace raw {
/// -1 and errno, or the result.
inline std::ptrdiff_t result_of(long r) noexcept {
  if (r >= 0) [[likely]]
    return r;
  heddle::detail::set_errno_here(static_cast<int>(-r));
  return -1;
}
/// sendto() and recvfrom() without an address.
inline long call(long number, int fd, const void* memory, std::size_t n, long flags) noexcept {
  long r = number;
  register long flags_in asm("r10") = flags;
  register long no_address asm("r8") = 0;
  register long no_size asm("r9") = 0;
  asm volatile("syscall"
               : "+a"(r)
               : "D"(static_cast<long>(fd)), "S"(memory), "d"(n), "r"(flags_in), "r"(no_address), "r"(no_size)
               : "rcx", "r11", "memory");
  return r;
}
}  // namespace raw

inline std::ptrdiff_t raw_receive(int fd, void* to, std::size_t n) noexcept {
  constexpr long recvfrom_number = 45;
  return raw::result_of(raw::call(recvfrom_number, fd, to, n, 0));
}
inline std::ptrdiff_t raw_send(int fd, const void* from, std::size_t n) noexcept {
  constexpr long sendto_number = 44;
  return raw::result_of(raw::call(sendto_number, fd, from, n, MSG_NOSIGNAL));
}
#endif

}  // namespace heddle::io::detail
