// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>

#include "roots/sink.hpp"

namespace heddle::gc::detail {

inline constexpr std::size_t longest_copy = 8192;  ///< fits on a small stack

/// Copies n bytes at `from`, at most longest_copy, and returns how many could be read from the first one on: fewer
/// where memory ends, 0 where there is none. It faults nowhere, and ThreadSanitizer does not see it. errno stays as it
/// was. About 0.4 us.
std::size_t try_copy(void* to, const void* from, std::size_t n) noexcept;

/// Tells the sink of each aligned word in the n bytes at `from`, as a copy: for memory that threads change meanwhile,
/// and that the program may have made unreadable, or may unmap at any time. Pages that cannot be read are left out. A
/// word that changes at the same moment may be told as a mixture of the two values. Takes no lock and allocates
/// nothing. O(n), about 0.3 ns a byte.
void tell_copied(root_sink& sink, const void* from, std::size_t n) noexcept;

}  // namespace heddle::gc::detail
