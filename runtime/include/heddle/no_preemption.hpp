// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "heddle/detail/config.hpp"

namespace heddle {

/// While it lives, the fiber that made it stays on its kernel thread over calls of functions, also where prologues are
/// asked to yield (HEDDLE=preempt=1, for fibers with segmented stacks). It protects things that belong to a thread:
/// std::recursive_mutex and std::shared_mutex, which know the thread that locked them, handles of libraries that are
/// bound to a thread, addresses of thread-locals, errno. Without preempt=1 no fiber leaves its thread at a call of a
/// function, and the scope does nothing.
///
/// It does not keep others from running: a fiber past its slice loses its processor, and runs on beside the next one.
/// Nor does it forbid the fiber to wait: other fibers run on the thread then, with no scope but their own, and when the
/// fiber goes on, perhaps on another thread, its scope goes on with it. So a lock as above must not be held over a
/// wait, scope or not.
///
/// Scopes nest. They begin and end on the same fiber, in the order of a stack: a local variable. On a plain thread a
/// scope does nothing. About 2 ns. Compare: preempt_disable() in the Linux kernel.
///
/// \code
/// heddle::no_preemption stay;
/// std::lock_guard hold(recursive);   // a std::recursive_mutex
/// table.rehash();                    // calls functions, and does not suspend
/// \endcode
class HEDDLE_EXPORT no_preemption {
 public:
  no_preemption() noexcept;
  ~no_preemption();
  no_preemption(const no_preemption&) = delete;
  no_preemption& operator=(const no_preemption&) = delete;
};

}  // namespace heddle
