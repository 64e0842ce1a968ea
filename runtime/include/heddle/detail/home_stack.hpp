// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <type_traits>

#include "heddle/detail/config.hpp"

namespace heddle::detail {

#if defined(HEDDLE_MODEL) && HEDDLE_MODEL
inline bool stack_grows() noexcept { return false; }
inline void call_on_home_stack(void (*f)(void*), void* argument) { f(argument); }
#else
/// Whether the caller may stand on the small stack of a fiber whose stack grows.
inline bool stack_grows() noexcept {
  std::uintptr_t limit = 0;
  asm volatile("movq %%fs:0x70, %0" : "=r"(limit));
  return limit != 0;
}
/// f(argument) on the stack of the machine that runs the caller, or here if there is none or the caller is there
/// already.
HEDDLE_EXPORT void call_on_home_stack(void (*f)(void*), void* argument);
#endif

/// f() where there is room for anything: the runtime's own code that needs more than the reserve of a small stack. f
/// must not suspend the fiber. It may throw.
template <class F>
void on_home_stack(F&& f) {
  if (!stack_grows()) [[likely]]
    return static_cast<void>(f());
  call_on_home_stack([](void* at) { (*static_cast<std::remove_reference_t<F>*>(at))(); },
                     const_cast<void*>(static_cast<const void*>(&f)));
}

}  // namespace heddle::detail
