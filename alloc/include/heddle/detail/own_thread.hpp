// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "heddle/detail/config.hpp"

namespace heddle::detail {

/// While it lives, the calling thread counts as one of the program's, though it may never allocate anything. For
/// threads of the runtime. A program that has threads may be given one more, which works for it while it sleeps.
class HEDDLE_EXPORT own_thread {
 public:
  own_thread() noexcept;
  ~own_thread();
  own_thread(const own_thread&) = delete;
  own_thread& operator=(const own_thread&) = delete;
};

}  // namespace heddle::detail
