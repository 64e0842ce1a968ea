// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace heddle::gc::detail {

/// From now on each gc::ptr that is given the address of an object is looked at: whether it lies where the collector
/// scans. One that does not is reported on stderr, once for each type of object and each place in the code. Stores take
/// microseconds from then on.
void look_for_misplaced() noexcept;

}  // namespace heddle::gc::detail
