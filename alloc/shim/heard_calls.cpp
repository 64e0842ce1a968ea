// SPDX-License-Identifier: BSL-1.0
//
// Calls of libc that the allocator must have heard of. They go on to libc's own functions, and do what they always do.
// A program that makes the same system calls without libc is not heard.
#include <dlfcn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdarg>

#include "heddle/detail/platform.hpp"
#include "os.hpp"
#include "process.hpp"

#define HEDDLE_SHIM extern "C" __attribute__((visibility("default")))

namespace {

using namespace heddle::detail;

/// The function of that name behind this library: libc's, or that of another library that is preloaded.
template <class F>
class next_function {
 public:
  constexpr explicit next_function(const char* name) noexcept : name_(name) {}
  F* get() noexcept {
    F* f = known_.load(std::memory_order_relaxed);
    if (f == nullptr) known_.store(f = reinterpret_cast<F*>(::dlsym(RTLD_NEXT, name_)), std::memory_order_relaxed);
    return f;
  }

 private:
  const char* name_;
  atomic<F*> known_{nullptr};
};

constinit next_function<int(int, unsigned long, unsigned long, unsigned long, unsigned long)> next_prctl{"prctl"};
constinit next_function<int(const void*, std::size_t)> next_mlock{"mlock"};
constinit next_function<int(const void*, std::size_t, unsigned)> next_mlock2{"mlock2"};
constinit next_function<int(int)> next_mlockall{"mlockall"};

}  // namespace

/// The first step on the way to a filter of system calls, as a rule, is PR_SET_NO_NEW_PRIVS; seccomp(2) has no function
/// in libc.
HEDDLE_SHIM int prctl(int option, ...) noexcept {
  if (option == PR_SET_SECCOMP || option == PR_SET_NO_NEW_PRIVS) process::hear_of_filters();
  std::va_list all;
  va_start(all, option);
  unsigned long word[4];
  for (unsigned long& w : word) w = va_arg(all, unsigned long);
  va_end(all);
  auto* const next = next_prctl.get();
  return next != nullptr ? next(option, word[0], word[1], word[2], word[3])
                         : static_cast<int>(::syscall(SYS_prctl, option, word[0], word[1], word[2], word[3]));
}

HEDDLE_SHIM int mlock(const void* p, std::size_t bytes) noexcept {
  os::hear_of_locks();
  auto* const next = next_mlock.get();
  return next != nullptr ? next(p, bytes) : static_cast<int>(::syscall(SYS_mlock, p, bytes));
}

HEDDLE_SHIM int mlock2(const void* p, std::size_t bytes, unsigned flags) noexcept {
  os::hear_of_locks();
  auto* const next = next_mlock2.get();
  return next != nullptr ? next(p, bytes, flags) : static_cast<int>(::syscall(SYS_mlock2, p, bytes, flags));
}

HEDDLE_SHIM int mlockall(int flags) noexcept {
  os::hear_of_locks();
  auto* const next = next_mlockall.get();
  return next != nullptr ? next(flags) : static_cast<int>(::syscall(SYS_mlockall, flags));
}
