// SPDX-License-Identifier: BSL-1.0
//
// Calls that a signal handler asks for at a time when the thread that it interrupts cannot make them.
#pragma once

#include "heddle/detail/config.hpp"

namespace heddle::detail {

/// A part of the object that the call is for. It is in the list at most once; before it is called it is taken out.
struct held_call {
  void (*const call)(held_call& self) noexcept;
  held_call* next = nullptr;
  constexpr explicit held_call(void (*f)(held_call&) noexcept) noexcept : call(f) {}
};

/// Whether the calling thread starts or ends a runtime just now: it may hold any lock of the runtime's.
HEDDLE_EXPORT bool calls_are_held() noexcept;
/// Has it called soon, by this thread or another. Lock-free.
HEDDLE_EXPORT void hold_call(held_call& c) noexcept;
/// Makes all that are held.
HEDDLE_EXPORT void make_held_calls() noexcept;

}  // namespace heddle::detail
