// SPDX-License-Identifier: BSL-1.0
//
// What is local to a fiber, as the runtime sees it: one pointer, that `sync` knows more of.
#pragma once

#include "heddle/detail/config.hpp"

namespace heddle::detail {

/// The variables of one fiber or plain thread.
struct locals_base {
  /// Ends them all and frees their memory. Runs on the fiber when its closure has ended, as user code; on a plain
  /// thread when that ends.
  void (*end)(locals_base*) noexcept;
};

/// Those of the caller, or null.
HEDDLE_EXPORT locals_base* locals() noexcept;
/// Makes them the caller's; whoever had set others sees to those.
HEDDLE_EXPORT void set_locals(locals_base* of_caller) noexcept;

}  // namespace heddle::detail
