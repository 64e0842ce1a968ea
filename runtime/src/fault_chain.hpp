// SPDX-License-Identifier: BSL-1.0
//
// Our place among the handlers that a program has for SIGSEGV and SIGBUS.
#pragma once

#include <signal.h>

namespace heddle::detail {

/// Stands before the program's handlers: looks at each fault first, and hands it on as the kernel would have delivered
/// it. Process-wide; begin() and end() by one thread at a time.
///
/// 1. Handlers of the program may be set before, during and after, and may hand on to the one that they found, which
/// may
///    be ours. So each time that ours goes on top of one that may know it, it is another function, a link of its own:
///    who hands on to an older link gets what was before that one, and a fault goes down the chain, never round.
/// 2. What is before a link changes only while that link is not installed, nor known to anybody.
/// 3. A child has what its parent had, in whatever state: begin() believes what is installed.
/// 4. A program whose own handler hands on to itself, since it was set twice, gets the default action when a link is
///    reached again with the same fault.
class fault_chain {
 public:
  /// Takes both signals; `look` sees every fault, on the thread that made it.
  static void begin(void (*look)(const siginfo_t&)) noexcept;
  /// Gives back the signals of which our handler is still the one that is installed, and leaves the others alone.
  static void end() noexcept;
};

}  // namespace heddle::detail
