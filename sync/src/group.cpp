// SPDX-License-Identifier: BSL-1.0
#include "heddle/group.hpp"

#include <cstddef>
#include <cstdlib>

#include "heddle/detail/current_exception.hpp"
#include "heddle/detail/home_stack.hpp"
#include "heddle/detail/trusted.hpp"
#include "heddle/detail/wait_description.hpp"
#include "misuse.hpp"

namespace heddle {

deadline_exceeded::deadline_exceeded() : std::runtime_error("heddle::group: the deadline has passed") {}
deadline_exceeded::~deadline_exceeded() = default;

namespace detail {

void group_core::note_failure() noexcept {
  failure_ = std::current_exception();
  failed_child_ = name_of_running();
}

void group_core::end_with_failure() noexcept {
  if (!rethrown_)
    lose_exception(failed_child_ != nullptr ? failed_child_ : "a fiber", "its group was destroyed without wait()",
                   failure_);
  on_home_stack([this] { std::free(failed_child_); });
}

bool group_core::take_place() noexcept {
  const thread_lock hold(places_lock_);
  if (running_ == limit_) return false;
  ++running_;
  return true;
}

// No standard layout; both compilers know the offset all the same.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winvalid-offsetof"
const countdown::words group_core::words{"group",
                                         "add",
                                         "done",
                                         "",
                                         "for the children of %s %p, %u of which have not ended",
                                         offsetof(group_core, children_)};
#pragma GCC diagnostic pop

void group_core::unlock_places(void* self) noexcept { static_cast<group_core*>(self)->places_lock_.unlock_in_commit(); }

/// How reports describe a fiber that waits in spawn().
struct group_waits {
  static void describe(void* argument, wait_text& to) {
    to.say("to spawn into group %p, until one of its %zu running children ends", argument,
           static_cast<const group_core*>(argument)->limit_);
  }
  static const wait_description registered;
};
const wait_description group_waits::registered(group_core::unlock_places, group_waits::describe);

/// The blocked half of spawn(). True: a place is the caller's.
bool group_core::queue_for_place(bounded_waiter& self) noexcept {
  places_lock_.lock();
  if (running_ != limit_) {
    ++running_;
    places_lock_.unlock();
    return true;
  }
  queue_.push_back(self);
  const wait_state how = self.park(unlock_places, this);
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
