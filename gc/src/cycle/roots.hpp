// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "mark/marker.hpp"
#include "roots/stacks.hpp"

namespace heddle::gc::detail {

/// Marks the objects to which roots lead: registered ones, globals, thread-locals, stacks. Each stack at a time of its
/// own. `look`, `standing`, `verifies` and what is returned: see scan_stacks().
std::size_t visit_roots(marker& m, leak_look* look, standing_fibers standing, bool verifies) noexcept;

}  // namespace heddle::gc::detail
