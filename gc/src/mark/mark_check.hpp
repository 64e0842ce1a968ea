// SPDX-License-Identifier: BSL-1.0
//
// Whether the marks are whole: an address at a declared offset of a marked object leads to a marked object.
//
// That holds from when the marks are final until mutators are disarmed, and it holds while they run. A thread can store
// only addresses that it can reach, and all that it can reach is marked. A store without the write barrier (a plain
// pointer in an object, bytes that were copied) breaks it sooner or later.
#pragma once

#include <cstddef>
#include <cstdint>

#include "heap/heap.hpp"

namespace heddle::gc::detail {

/// An address that ought not to be there.
struct missed_mark {
  const kind* of = nullptr;  ///< null: none was found
  const char* object = nullptr;
  std::size_t offset = 0;  ///< of the word in the object
  block target;
};

/// Looks at the objects of one page in `one_in`, chosen by `seed`; 1: at all. Returns the first fault. `young`: after a
/// young cycle an old object that is dead still counts as marked. The objects its plain pointers name may be gone,
/// because what has kept that is dead, too. So types that have some are left out.
missed_mark check_marks(std::size_t one_in, std::uint64_t seed, bool young) noexcept;
/// Says it on stderr.
void report_missed(const missed_mark& m) noexcept;

}  // namespace heddle::gc::detail
