// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "heddle/detail/fiber_roots.hpp"

namespace heddle::gc::detail {

/// A scan of stacks that looks for fibers which nothing can wake puts off those that wait at objects which have not
/// been reached. When all else has been scanned, this one marks all that is reached; then some of their objects are, so
/// those fibers are scanned, and so on. Fibers that are left in the end wait for ever.
class leak_look : public heddle::detail::wait_judge {
 public:
  /// Marks all that can be reached from what has been scanned so far, and what mutators have told of.
  virtual void reach_all() noexcept = 0;
  /// From now on note_put_off() is told of those that are left, each once.
  virtual void begin_last_pass() noexcept = 0;

 protected:
  ~leak_look() = default;
};

}  // namespace heddle::gc::detail
