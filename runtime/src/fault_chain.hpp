// SPDX-License-Identifier: BSL-1.0
//
// Our place among the handlers that a program has for SIGSEGV and SIGBUS.
#pragma once

#include <signal.h>

namespace heddle::detail {

/// Stands before the program's handlers: looks at each fault first, and hands it on as the kernel would have delivered
/// it. Process-wide; begin() and end() by one thread at a time.
///
/// 1. Handlers of the program may be set before, during and after a run. They may hand on to the handler that they
///    found, which may be ours. So each time that ours goes on top of one that may know it, ours is another function, a
///    link of its own. A handler that hands on to an older link reaches the handler before that link. So a fault goes
///    down the chain, never round.
/// 2. The handler before a link changes only while that link is not installed, nor known to anybody.
/// 3. A child has its parent's handlers, in whatever state: begin() believes those that are installed.
/// 4. A program's own handler may hand on to itself, since it was set twice. It gets the default action when a link is
///    reached again with the same fault.
class fault_chain {
 public:
  /// Takes both signals; `look` sees every fault, on the thread that made it.
  static void begin(void (*look)(const siginfo_t&)) noexcept;
  /// Gives back the signals of which our handler is still the one that is installed, and leaves the others alone.
  static void end() noexcept;
};

}  // namespace heddle::detail
