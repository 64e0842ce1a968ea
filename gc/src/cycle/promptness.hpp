// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace heddle::gc::detail {

/// From now on the calling thread gets a processor soon after it has been woken, though others are at work, if the
/// kernel can: it asks for slices of 100 us. Threads wait for the collector while it waits for a processor.
///
/// Linux from 6.12 on heeds the slice of a thread of the usual policy, and lets one with a short slice interrupt
/// others.
void be_prompt() noexcept;

}  // namespace heddle::gc::detail
