// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace heddle::detail {

/// Called when a runtime starts. If the process has heddle::blocking_calls, that knows our fibers from now on.
void look_for_blocking_calls() noexcept;

}  // namespace heddle::detail
