// SPDX-License-Identifier: BSL-1.0
//
// Fibers that must not leave their kernel thread for now, and so wait as plain threads do: those inside blocking(), and
// those inside a parallel region of OpenMP, whose runtime knows its team by the thread.
//
// 1. Every way to suspend a fiber begins with suspendable(). If that is null, the caller calls release_processor(), and
//    then waits on its thread.
// 2. A pinned fiber without a processor runs on beside the others, like a fiber that has lost its processor. Whether it
//    must get a processor again is decided when it is no longer pinned.
// 3. While neither was ever used, suspendable() is a call of platform::thread_slot(), and costs what that costs.
#pragma once

#include <atomic>

#include "machine.hpp"

namespace heddle::detail {

/// The function behind suspendable(). Never null; not one of the explorer's atomics, since they do not explore it.
extern std::atomic<void* (*)() noexcept> suspendable_slot __attribute__((visibility("hidden")));

/// The machine that the caller runs on, or null for a plain thread or a pinned fiber. Like this_machine() it is to be
/// asked again after each suspension.
inline machine* suspendable() noexcept {
  return static_cast<machine*>(suspendable_slot.load(std::memory_order_relaxed)());
}

/// From now on suspendable() looks for pins.
void look_for_pins() noexcept;
/// Called when a runtime starts. If the process has an OpenMP runtime, suspendable() looks for pins from now on.
void look_for_openmp() noexcept;

/// Whether the calling fiber is pinned, m its machine.
bool is_pinned(const machine& m) noexcept;

/// Called before the caller, a plain thread or a pinned fiber, blocks its thread. Frees the fiber's processor. Returns
/// whether the caller is a fiber.
bool release_processor() noexcept;

/// yield() of a plain thread or a pinned fiber.
void yield_thread() noexcept;

}  // namespace heddle::detail
