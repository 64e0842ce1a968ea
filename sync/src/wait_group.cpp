// SPDX-License-Identifier: BSL-1.0
#include "heddle/wait_group.hpp"

#include <cinttypes>
#include <cstdio>
#include <cstdlib>

#include "heddle/detail/home_stack.hpp"
#include "heddle/detail/trusted.hpp"
#include "misuse.hpp"

namespace heddle {

/// The count reaches zero while somebody waits (or would fall below zero). Under the lock nobody can begin to
/// wait, so the queue taken is the queue of those whom this zero releases.
void wait_group::done_last(std::uint64_t state, std::uint32_t n) noexcept {
  lock_.lock();
  std::uint64_t next = 0;
  do {
    const std::uint64_t count = state & count_mask;
    if (count < n) below_zero(count, n);
    next = count == n ? 0 : state - n;
    // acq_rel: as in done().
  } while (!state_.compare_exchange_weak(state, next, std::memory_order_acq_rel, std::memory_order_relaxed));
  detail::waiter* first = next == 0 ? queue_.take_all() : nullptr;
  lock_.unlock();
  // From here on the group may be gone, and each waiter is gone once it is awake.
  while (first) {
    detail::waiter* const rest = first->next;
    first->wake();
    first = rest;
  }
}

void wait_group::wait_slow() noexcept {
  detail::waiter self;
  lock_.lock();
  if (!announce() && !HEDDLE_PLANTED(waits_for_nobody)) return lock_.unlock();
  queue_.push_back(self);
  self.park([](void* group) { static_cast<wait_group*>(group)->lock_.unlock_in_commit(); }, this);
  lock_.unlocked_by_commit();
}

/// Makes sure that the last done() will look into the queue. False: the count is zero, nothing to wait for.
bool wait_group::announce() noexcept {
  // acquire: so that what was done before done() is seen if the count is zero; the release half is in done().
  std::uint64_t state = state_.load(std::memory_order_acquire);
  while ((state & count_mask) != 0) {
    // acquire, needed when it fails: as above. Success publishes nothing by itself: the last done() reads the word
    // by a read-modify-write and the queue under lock_.
    if (state_.compare_exchange_weak(state, state | waiting, std::memory_order_acquire, std::memory_order_acquire))
      return true;
  }
  return false;
}

void wait_group::overflow(std::uint64_t count, std::uint32_t n) const noexcept {
  detail::on_home_stack([&] {
    char text[128];
    std::snprintf(text, sizeof text, "count overflow: add(%" PRIu32 ") to a count of %" PRIu64 "; the limit is 2^32-1",
                  n, count);
    detail::misuse("wait_group", this, text);
  });
  std::abort();  // not reached
}

void wait_group::below_zero(std::uint64_t count, std::uint32_t n) const noexcept {
  detail::on_home_stack([&] {
    char text[128];
    std::snprintf(text, sizeof text,
                  "negative count: done(%" PRIu32 ") with a count of %" PRIu64 "; add() before the work starts", n,
                  count);
    detail::misuse("wait_group", this, text);
  });
  std::abort();  // not reached
}

void wait_group::destroyed_in_use() const noexcept {
  detail::misuse("wait_group", this, "destroyed while others wait for it; join them first");
}

}  // namespace heddle
