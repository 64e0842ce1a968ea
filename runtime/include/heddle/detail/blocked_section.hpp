// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "heddle/detail/config.hpp"

namespace heddle::detail {

/// For a system call that is known to block, in a function that its callers take for an ordinary one: gives the
/// processor of the calling fiber away at once, for its own lifetime. At the end the fiber takes a processor that is
/// idle; if there is none it runs on beside the others, until it suspends.
///
/// Unlike blocking() it never moves the fiber: before, in and after the section it is on one kernel thread, so that
/// `errno` and other thread-locals, whose addresses compilers keep, stay its own. blocking() waits for the monitor
/// first, since its calls may be short; here the caller has found out that the call blocks.
///
/// Does nothing on a plain thread, inside the runtime's own code, and in a child of vfork(), which has the machine's
/// thread-locals but is another thread. If no other machine can take the processor (options::max_machines) the fiber
/// keeps it. Nothing of heddle that may suspend is to be called inside. It costs what the wake of a thread costs, or a
/// microsecond if no other fiber waits.
class HEDDLE_EXPORT blocked_section {
 public:
  blocked_section() noexcept : given_(begin()) {}
  ~blocked_section() {
    if (given_) end();
  }
  blocked_section(const blocked_section&) = delete;
  blocked_section& operator=(const blocked_section&) = delete;

  /// Whether the caller is a fiber that a section would do something for. Some nanoseconds.
  static bool is_useful() noexcept;
  /// The two halves. begin() returns whether end() is to be called.
  static bool begin() noexcept;
  static void end() noexcept;

 private:
  bool given_;
};

/// The same as plain functions, for a library that must not need heddle to be loaded: heddle::blocking_calls. When a
/// runtime starts it gives them to the function `heddle_serve_blocking_calls`, if the program has one.
struct blocked_calls {
  bool (*is_useful)() noexcept;
  bool (*begin)() noexcept;
  void (*end)() noexcept;
};
using serve_blocking_calls = void (*)(const blocked_calls* calls);

}  // namespace heddle::detail
