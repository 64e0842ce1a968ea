// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace heddle::gc::detail {

/// Has forks leave the heap whole, from the first call on: before the first object, and before the collector has a
/// thread, which a child has not.
void heed_forks() noexcept;

}  // namespace heddle::gc::detail
