// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "mark/marker.hpp"

namespace heddle::gc::detail {

/// Marks the objects to which roots lead: registered ones, globals, thread-locals, stacks. Each stack at a time of its
/// own.
void visit_roots(marker& m) noexcept;

}  // namespace heddle::gc::detail
