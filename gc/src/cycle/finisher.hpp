// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>

#include "heddle/detail/thread_mutex.hpp"

namespace heddle::gc::detail {

/// Runs what is due because objects have died.
class finisher {
 public:
  constexpr finisher() noexcept = default;
  /// Something may be due.
  void wake() noexcept;

 private:
  static void main(void* self) noexcept;

  heddle::detail::thread_mutex lock_{heddle::detail::lock_rank::life};
  bool has_thread_ HEDDLE_GUARDED_BY(lock_) = false;
  heddle::detail::atomic<std::uint32_t> wanted_{0};
};

extern constinit finisher the_finisher;

}  // namespace heddle::gc::detail
