// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "heddle/detail/config.hpp"

namespace heddle::detail {

/// Says for its scope that the calling thread is one of the program's, though it may never allocate anything: for
/// threads of the runtime. A program that has threads may be given another one for what is to be done while it sleeps.
class HEDDLE_EXPORT own_thread {
 public:
  own_thread() noexcept;
  ~own_thread();
  own_thread(const own_thread&) = delete;
  own_thread& operator=(const own_thread&) = delete;
};

}  // namespace heddle::detail
