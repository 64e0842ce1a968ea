// SPDX-License-Identifier: BSL-1.0
//
// Where a fiber has its addresses: on its stack, segment by segment, and in its closure.
#pragma once

#include <cstddef>
#include <cstdint>

#include "fiber.hpp"
#include "heddle/detail/fiber_roots.hpp"

namespace heddle::detail {

/// What a function may use below its stack pointer, and __morestack below its frame.
inline constexpr std::size_t red_zone = 128;

enum class where : std::uint8_t {
  nowhere,    ///< no fiber
  fresh,      ///< in its closure only, so far
  suspended,  ///< on its stack too
  running,    ///< it may be
  ended,      ///< its closure holds the result
};
where look(const fiber& f) noexcept;

/// A stack from `from` up, which lies in its present segment, and the segments before.
void visit_frames(word_visitor& v, const stack* s, const char* from) noexcept;
/// Of a fiber that cannot end meanwhile.
void visit_closure(word_visitor& v, fiber& f) noexcept;
/// Of one that has ended: its block may be made anew meanwhile. Then anything may be found in it, but nothing outside
/// is read; await_scan() keeps a large closure.
void visit_result(word_visitor& v, fiber& f) noexcept;
/// Of a suspended one, which stays so: its frames, and the exceptions that it has caught.
void visit_stack(word_visitor& v, const fiber& f) noexcept;

}  // namespace heddle::detail
