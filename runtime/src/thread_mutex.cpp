// SPDX-License-Identifier: BSL-1.0
#include "heddle/detail/thread_mutex.hpp"

#include <algorithm>

namespace heddle::detail {

void thread_mutex::lock_slow() noexcept {
  // The sections are short, so a few looks before the kernel is asked; models have no use for more than one. Looks
  // apart, and further apart each time: each takes the line away from a holder who may be about to lock again. With
  // one every 25 ns a message between four pairs of fibers on two processors cost 95 ns, so it costs 17.
#if defined(HEDDLE_MODEL) && HEDDLE_MODEL
  constexpr unsigned first = 1, longest = 1, patience = 1;
#else
  constexpr unsigned first = 8, longest = 128, patience = 512;  // pauses
#endif
  for (unsigned spent = 0, wait = first; spent < patience; spent += wait, wait = std::min(2 * wait, longest)) {
    for (unsigned i = 0; i != wait; ++i) platform::cpu_relax();
    if (state_.load(std::memory_order_relaxed) == free && try_lock()) return;
  }
  // acquire: so that what the last holder wrote is seen; release half in unlock().
  std::uint32_t mark = contended;
  while (state_.exchange(mark, std::memory_order_acquire) != free) {
    platform::futex_wait(state_, mark);
    if (HEDDLE_PLANTED(lock_forgets_sleepers)) mark = held;
  }
}

}  // namespace heddle::detail
