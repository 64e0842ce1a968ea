// SPDX-License-Identifier: BSL-1.0
//
// Fibers that must not leave their kernel thread for now, and so wait as plain threads do: those inside blocking(), and
// those inside a parallel region of OpenMP, whose runtime knows its team by the thread.
//
// 1. Every way to suspend a fiber begins with suspendable(). Null: the caller waits on its thread, and calls
//    release_processor() before.
// 2. A pinned fiber without a processor runs on beside the others, as one does that has lost it. Whether it must get
// one
//    again is asked when it is pinned no more.
// 3. While neither was ever used, suspendable() is a call of platform::thread_slot(), and costs what that costs.
#pragma once

#include <atomic>

#include "machine.hpp"

namespace heddle::detail {

/// What suspendable() calls. Never null; not one of the explorer's atomics, since it is not what that explores.
extern std::atomic<void* (*)() noexcept> suspendable_slot __attribute__((visibility("hidden")));

/// The machine that the caller runs on, or null for a plain thread or a pinned fiber. As this_machine(), to be asked
/// again after each suspension.
inline machine* suspendable() noexcept {
  return static_cast<machine*>(suspendable_slot.load(std::memory_order_relaxed)());
}

/// From now on suspendable() looks for pins.
void look_for_pins() noexcept;
/// Looks for an OpenMP runtime in the process, and if there is one, for pins from now on. When a runtime starts.
void look_for_openmp() noexcept;

/// Whether the calling fiber is pinned, m its machine.
bool is_pinned(const machine& m) noexcept;

/// Before the caller, a plain thread or a pinned fiber, blocks its thread: frees the fiber's processor. Whether the
/// caller is a fiber.
bool release_processor() noexcept;

/// yield() of a plain thread or a pinned fiber.
void yield_thread() noexcept;

}  // namespace heddle::detail
