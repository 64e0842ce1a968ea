// SPDX-License-Identifier: BSL-1.0
//
// Prepares a whole program for fork(): our handlers are registered before those of anybody else, so that they are the
// last to run before a fork.
#include "blocks.hpp"
#include "thread_cache.hpp"

namespace heddle::detail {
namespace {

[[gnu::constructor]] void begin() noexcept {
  blocks::deallocate(blocks::allocate(1));  // registers them, if nobody has allocated yet
  take_stdio_lock_at_forks();
}

}  // namespace
}  // namespace heddle::detail
