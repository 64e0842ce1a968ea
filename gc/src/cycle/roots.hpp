// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "mark/marker.hpp"
#include "roots/leak_look.hpp"

namespace heddle::gc::detail {

/// Marks the objects to which roots lead: registered ones, globals, thread-locals, stacks. Each stack at a time of its
/// own. `look`: see scan_stacks().
void visit_roots(marker& m, leak_look* look = nullptr) noexcept;

}  // namespace heddle::gc::detail
