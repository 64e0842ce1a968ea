// SPDX-License-Identifier: BSL-1.0
#include "heddle/group.hpp"

#include <cstdlib>

#include "heddle/detail/home_stack.hpp"
#include "heddle/detail/trusted.hpp"
#include "misuse.hpp"

namespace heddle {

deadline_exceeded::deadline_exceeded() : std::runtime_error("heddle::group: the deadline has passed") {}
deadline_exceeded::~deadline_exceeded() = default;

namespace detail {

bool group_core::take_place() noexcept {
  const thread_lock hold(places_lock_);
  if (running_ == limit_) return false;
  ++running_;
  return true;
}

/// The blocked half of spawn(). True: a place is the caller's.
bool group_core::queue_for_place(bounded_waiter& self) noexcept {
  places_lock_.lock();
  if (running_ != limit_) {
    ++running_;
    places_lock_.unlock();
    return true;
  }
  queue_.push_back(self);
  const wait_state how =
      self.park([](void* lock) { static_cast<thread_mutex*>(lock)->unlock_in_commit(); }, &places_lock_);
  places_lock_.unlocked_by_commit();
  if (how == wait_state::signalled) return true;
  const thread_lock hold(places_lock_);
  if (fifo<waiter>::linked(self)) queue_.erase(self);
  return false;
}

/// Gives the place of one that has ended to the first who waits for one.
void group_core::give_place() noexcept {
  places_lock_.lock();
  waiter* const next = HEDDLE_PLANTED(place_given_unclaimed) ? queue_.pop_front() : queue_.pop_claimed();
  if (next == nullptr) --running_;
  places_lock_.unlock();
  if (next != nullptr) next->wake();
}

void group_core::throw_deadline_exceeded() {
  on_home_stack([] { throw deadline_exceeded(); });
  std::abort();  // not reached
}

void group_core::waited_for_inside() const noexcept {
  misuse("group", this, "a child waits for its own group, which cannot end then; let its owner wait");
}

}  // namespace detail
}  // namespace heddle
