// SPDX-License-Identifier: BSL-1.0
#include "heddle/detail/thread_mutex.hpp"

namespace heddle::detail {

void thread_mutex::lock_slow() noexcept {
  // The sections are short: a few looks before the kernel is asked.
  constexpr int spins = 40;
  for (int i = 0; i != spins; ++i) {
    if (state_.load(std::memory_order_relaxed) == free && try_lock()) return;
    platform::cpu_relax();
  }
  // acquire: so that what the last holder wrote is seen; release half in unlock().
  while (state_.exchange(contended, std::memory_order_acquire) != free) platform::futex_wait(state_, contended);
}

}  // namespace heddle::detail
