// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "heddle/detail/config.hpp"

namespace heddle::detail {

/// Whether the process is on its way out: the destructors of static objects have begun, or exit() is among the callers,
/// as it is among those of each such destructor. Then objects may be destroyed
/// though fibers wait at them. Those fibers are never woken: exit() leaves them behind, as it does the threads of a
/// program. From anywhere.
HEDDLE_EXPORT bool process_exits() noexcept;

}  // namespace heddle::detail
