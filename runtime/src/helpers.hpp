// SPDX-License-Identifier: BSL-1.0
//
// Threads that serve the program and sleep (heddle/detail/helper_call.hpp), as the monitor sees them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace heddle::detail {

/// How many sleep now; never too many.
std::size_t sleeping_helpers() noexcept;
/// Changes when one falls asleep.
std::uint32_t helper_sleeps() noexcept;
/// In a child there are none.
void forget_helpers() noexcept;

}  // namespace heddle::detail
