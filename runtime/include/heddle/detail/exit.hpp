// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "heddle/detail/config.hpp"

namespace heddle::detail {

/// Whether the process is on its way out: exit() has been called, or main() has returned. Then objects may be destroyed
/// though fibers wait at them. Those fibers are never woken: exit() leaves them behind, as it does the threads of a
/// program. From anywhere.
HEDDLE_EXPORT bool process_exits() noexcept;

}  // namespace heddle::detail
