// SPDX-License-Identifier: BSL-1.0
//
// Room on stacks that grow, for entries that need more than the reserve below the limit (trusted.hpp): they look for
// themselves, so that their callers need not ask for a large segment, which a fiber that rests in such a call would
// keep.
#pragma once

#include <cstddef>
#include <utility>

#include "heddle/detail/home_stack.hpp"
#include "heddle/large_stack.hpp"

namespace heddle::detail {

/// Bytes that an attempt and a wait at a descriptor need beside the reserve: test/runtime/reserve measures it.
inline constexpr std::size_t waiting_room = 640;
/// Bytes on which code that knows nothing of limits may count.
inline constexpr std::size_t foreign_room = std::size_t{16} << 10;

/// f() where so many bytes are free, mostly on the stack as it is. f may suspend the fiber, and may throw.
template <class F>
decltype(auto) with_room(std::size_t bytes, F&& f) {
  if (!stack_grows()) [[likely]]
    return f();
  return on_large_stack(f, bytes);
}

}  // namespace heddle::detail
