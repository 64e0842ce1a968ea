// SPDX-License-Identifier: BSL-1.0
#include "heddle/detail/phases.hpp"

#include <cinttypes>
#include <cstdio>
#include <cstdlib>

#include "heddle/barrier.hpp"
#include "heddle/detail/home_stack.hpp"
#include "heddle/detail/trusted.hpp"
#include "heddle/detail/wait_description.hpp"
#include "misuse.hpp"

namespace heddle {
namespace detail {

/// With somebody waiting, as it looked. Under the lock nobody can begin to wait for this phase.
void phases::advance_slow() noexcept {
  lock_.lock();
  const std::uint64_t state = state_.load(std::memory_order_relaxed);
  if (!(state & waiting)) {  // all have given up: an ordinary step after all, without the lock (invariant 3)
    lock_.unlock();
    return advance();
  }
  waiter* first = queue_.take_claimed();
  // release: as in advance(). A store, since nobody arrives until then, and waiters need the lock.
  state_.store(following(state), std::memory_order_release);
  lock_.unlock();
  // From here on the object may be gone, and each waiter is gone once it is awake.
  while (first != nullptr) {
    waiter* const rest = first->next;
    first->wake();
    first = rest;
  }
}

void phases::unlock(void* self) noexcept { static_cast<phases*>(self)->lock_.unlock_in_commit(); }

/// How reports describe a fiber that waits for the end of a phase.
struct phases_waits {
  static void describe(void* argument, wait_text& to) {
    const auto& p = *static_cast<const phases*>(argument);
    const std::uint32_t missing = phases::missing(p.state_.load(std::memory_order_relaxed));
    to.say("for barrier %p, until %" PRIu32 " more %s (it expects %" PRIu32 ")", argument, missing,
           missing == 1 ? "arrives" : "arrive", p.expected_.load(std::memory_order_relaxed));
  }
  static const wait_description registered;
};
const wait_description phases_waits::registered(phases::unlock, phases_waits::describe);

void phases::wait_slow(phase p, waiter& self) noexcept {
  lock_.lock();
  if (!announce(p) && !HEDDLE_PLANTED(waits_for_ended_phase)) return lock_.unlock();
  queue_.push_back(self);
  self.park(unlock, this);
  lock_.unlocked_by_commit();
}

bool phases::wait_slow(phase p, bounded_waiter& self) noexcept {
  lock_.lock();
  if (!announce(p)) {
    lock_.unlock();
    return true;
  }
  queue_.push_back(self);
  const wait_state how = self.park(unlock, this);
  lock_.unlocked_by_commit();
  return how == wait_state::signalled || leave(self);
}

/// Makes sure that who ends phase p will look into the queue. False: it has ended.
bool phases::announce(phase p) noexcept {
  // acquire: as in ended().
  std::uint64_t state = state_.load(std::memory_order_acquire);
  while (number(state) == p)
    // acquire, needed when it fails: as above. Success publishes nothing: who acts on it takes the lock.
    if (state_.compare_exchange_weak(state, state | waiting, std::memory_order_acquire, std::memory_order_acquire))
      return true;
  return false;
}

/// After a wait that its bounds have ended. True: the phase has ended before.
bool phases::leave(waiter& self) noexcept {
  const thread_lock hold(lock_);
  if (!fifo<waiter>::linked(self)) return true;
  queue_.erase(self);
  // relaxed: who reads the bit and acts on it takes the lock.
  if (queue_.empty()) state_.fetch_and(~waiting, std::memory_order_relaxed);
  return false;
}

void phases::too_many(std::uint32_t n, std::uint32_t missing) const noexcept {
  on_home_stack([&] {
    char text[160];
    std::snprintf(text, sizeof text,
                  "arrive(%" PRIu32 ") with %" PRIu32 " arrivals missing; expect as many as will arrive in a phase", n,
                  missing);
    misuse("barrier", this, text);
  });
  std::abort();  // not reached
}

void barrier_destroyed_in_use(const void* barrier) noexcept {
  destroyed_in_use("barrier", barrier, "destroyed while others wait for it; join them first");
}

void barrier_out_of_range(const void* barrier) noexcept {
  misuse("barrier", barrier, "a number below 0 or above 2^32-1; pass one within barrier::max()");
}

}  // namespace detail
}  // namespace heddle
