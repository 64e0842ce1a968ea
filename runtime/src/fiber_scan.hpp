// SPDX-License-Identifier: BSL-1.0
//
// What a scan of stacks and a stop of all fibers share.
#pragma once

#include <cstdint>

#include "heddle/detail/platform.hpp"

namespace heddle::detail {

/// A collector has holds of fibers, or may have.
extern atomic<bool> scanning __attribute__((visibility("hidden")));
/// Wakes machines that wait for the end of a hold.
void tell_waiters() noexcept;

}  // namespace heddle::detail
