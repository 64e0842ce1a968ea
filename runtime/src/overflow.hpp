// SPDX-License-Identifier: BSL-1.0
//
// A fiber that runs over its stack faults on the guard below it. Here the fault becomes a report.
#pragma once

#include <cstddef>

namespace heddle::detail {

class fiber;

/// Says on stderr that the stack of f cannot grow by `need` bytes beyond the `has` that it has, and why, with a
/// backtrace.
void report_growth(const fiber& f, std::size_t need, std::size_t has, const char* why) noexcept;

/// Takes SIGSEGV and SIGBUS. A fault on the guard of the running fiber's stack is reported with the fiber's name, the
/// range and a backtrace. Then, as with every other fault, the program's handler has the signal (fault_chain); the
/// process dies of it if there is none. One at a time in a process.
class overflow_watch {
 public:
  static void begin() noexcept;
  /// Gives the signals back, unless others have taken them meanwhile.
  static void end() noexcept;
};

/// Where the calling kernel thread's signal handlers run while this lives: the fiber's own stack is used up.
class signal_stack {
 public:
  signal_stack() noexcept;
  ~signal_stack();
  signal_stack(const signal_stack&) = delete;
  signal_stack& operator=(const signal_stack&) = delete;

 private:
  void* memory_ = nullptr;
};

}  // namespace heddle::detail
