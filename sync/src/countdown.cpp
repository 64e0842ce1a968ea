// SPDX-License-Identifier: BSL-1.0
#include "heddle/detail/countdown.hpp"

#include <cinttypes>
#include <cstdio>
#include <cstdlib>

#include "heddle/detail/home_stack.hpp"
#include "heddle/detail/trusted.hpp"
#include "heddle/detail/wait_description.hpp"
#include "misuse.hpp"

namespace heddle::detail {

/// The count reaches zero while somebody waits (or would fall below zero). Under the lock nobody can begin to
/// wait, so the queue taken is the queue of those whom this zero releases. If those who waited have given up meanwhile,
/// or the count has grown, it is an ordinary step after all, and is made without the lock: see invariant 3.
void countdown::done_last(std::uint32_t n, const words& w) noexcept {
  lock_.lock();
  std::uint64_t state = state_.load(std::memory_order_relaxed);
  do {
    if ((state & count_mask) < n) below_zero(state & count_mask, n, w);
    if (!is_last(state, n) && !(HEDDLE_PLANTED(zero_under_lock) && (state & count_mask) == n)) {
      lock_.unlock();
      return done(n, w);
    }
    // acq_rel: as in done().
  } while (!state_.compare_exchange_weak(state, 0, std::memory_order_acq_rel, std::memory_order_relaxed));
  waiter* first = queue_.take_claimed();
  lock_.unlock();
  // From here on the object may be gone, and each waiter is gone once it is awake.
  while (first) {
    waiter* const rest = first->next;
    first->wake();
    first = rest;
  }
}

void countdown::unlock(void* self) noexcept { static_cast<countdown*>(self)->lock_.unlock_in_commit(); }

/// The words that a waiter was given, for reports. It is handed no value, so that place is free.
inline void note(waiter& self, const countdown::words& w) noexcept { self.slot = const_cast<countdown::words*>(&w); }

/// How reports describe a fiber that waits for a count of zero.
struct countdown_waits {
  static void describe(void* argument, wait_text& to) HEDDLE_NO_THREAD_SAFETY_ANALYSIS {
    const auto& c = *static_cast<const countdown*>(argument);
    const waiter* const self = to.find(c.queue_);
    if (self == nullptr) return to.say("for a count of zero at %p", argument);
    const auto& w = *static_cast<const countdown::words*>(self->slot);
    to.say(w.until, w.kind, static_cast<const void*>(static_cast<const char*>(argument) - w.offset),
           static_cast<unsigned>(c.state_.load(std::memory_order_relaxed) & countdown::count_mask));
  }
  static const wait_description registered;
};
const wait_description countdown_waits::registered(countdown::unlock, countdown_waits::describe);

void countdown::wait_slow(waiter& self, const words& w) noexcept {
  note(self, w);
  lock_.lock();
  if (!announce() && !HEDDLE_PLANTED(waits_for_nobody)) return lock_.unlock();
  queue_.push_back(self);
  self.park(unlock, this);
  lock_.unlocked_by_commit();
}

bool countdown::wait_slow(bounded_waiter& self, const words& w) noexcept {
  note(self, w);
  lock_.lock();
  if (!announce()) {
    lock_.unlock();
    return true;
  }
  queue_.push_back(self);
  const wait_state how = self.park(unlock, this);
  lock_.unlocked_by_commit();
  return how == wait_state::signalled || leave(self);
}

/// After a wait that its bounds have ended. True: the count has reached zero before.
bool countdown::leave(waiter& self) noexcept {
  const thread_lock hold(lock_);
  if (!fifo<waiter>::linked(self)) return true;
  queue_.erase(self);
  // relaxed: who reads the bit and acts on it takes the lock.
  if (queue_.empty() && !HEDDLE_PLANTED(waiting_bit_kept)) state_.fetch_and(~waiting, std::memory_order_relaxed);
  return false;
}

/// Makes sure that the last done() will look into the queue. False: the count is zero, nothing to wait for.
bool countdown::announce() noexcept {
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

void countdown::overflow(std::uint64_t count, std::uint32_t n, const words& w) const noexcept {
  on_home_stack([&] {
    char text[128];
    std::snprintf(text, sizeof text, "count overflow: %s(%" PRIu32 ") to a count of %" PRIu64 "; the limit is 2^32-1",
                  w.add, n, count);
    misuse(w.kind, this, text);
  });
  std::abort();  // not reached
}

void countdown::below_zero(std::uint64_t count, std::uint32_t n, const words& w) const noexcept {
  on_home_stack([&] {
    char text[160];
    std::snprintf(text, sizeof text, "negative count: %s(%" PRIu32 ") with a count of %" PRIu64 "; %s", w.done, n,
                  count, w.remedy);
    misuse(w.kind, this, text);
  });
  std::abort();  // not reached
}

}  // namespace heddle::detail
