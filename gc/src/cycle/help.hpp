// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace heddle::gc::detail {

/// The calling thread has allocated: if marking is behind, it marks until that is made good, some tens of microseconds
/// at most. In no function of the collector. Not while stacks are scanned: the share is closed then.
void help_to_mark() noexcept;

/// The calling thread may not allocate before the cycle has ended: it marks for a tenth of a millisecond at most.
/// False: there was nothing to mark.
bool help_to_end() noexcept;

}  // namespace heddle::gc::detail
