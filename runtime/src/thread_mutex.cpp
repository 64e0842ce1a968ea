// SPDX-License-Identifier: BSL-1.0
#include "heddle/detail/thread_mutex.hpp"

namespace heddle::detail {

void thread_mutex::lock_slow() noexcept {
  // The sections are short: a few looks before the kernel is asked. Models have no use for more than one.
#if defined(HEDDLE_MODEL) && HEDDLE_MODEL
  constexpr int spins = 1;
#else
  constexpr int spins = 40;
#endif
  for (int i = 0; i != spins; ++i) {
    if (state_.load(std::memory_order_relaxed) == free && try_lock()) return;
    platform::cpu_relax();
  }
  // acquire: so that what the last holder wrote is seen; release half in unlock().
  std::uint32_t mark = contended;
  while (state_.exchange(mark, std::memory_order_acquire) != free) {
    platform::futex_wait(state_, mark);
    if (HEDDLE_PLANTED(lock_forgets_sleepers)) mark = held;
  }
}

}  // namespace heddle::detail
