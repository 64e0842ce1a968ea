// SPDX-License-Identifier: BSL-1.0
//
// Code addresses as text.
#pragma once

#include <cstddef>

namespace heddle::detail {

/// Prints return addresses to stderr: "function at file:line" where there is debug information and heddle was built
/// with libbacktrace, a line for each inlined function as well; else the function, if the object file exports it, and
/// the object file. The runtime's own frames at both ends are left out. Allocates.
void print_frames(void* const* frames, std::size_t n) noexcept;

}  // namespace heddle::detail
