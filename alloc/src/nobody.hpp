// SPDX-License-Identifier: BSL-1.0
//
// What stands where there is nothing yet, so that the fast paths need not ask.
#pragma once

#include "mcache.hpp"
#include "span.hpp"

namespace heddle::detail {

/// In the slots of a cache that has no span of a class: its list is empty for ever.
extern span nobodys_span;
/// The cache of a thread that has none: without spans, and the owner of none.
extern mcache nobodys_mcache;

}  // namespace heddle::detail
