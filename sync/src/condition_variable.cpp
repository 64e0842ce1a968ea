// SPDX-License-Identifier: BSL-1.0
#include "heddle/condition_variable.hpp"

#include "heddle/detail/trusted.hpp"
#include "heddle/detail/wait_description.hpp"
#include "heddle/this_fiber.hpp"
#include "misuse.hpp"

namespace heddle {

/// Runs when the waiter is off its stack, so it may be woken as soon as it has been announced; but then it needs the
/// mutex, so both are there until that is unlocked.
void condition_variable::announce_and_let_go(void* departing) {
  const departure d = detail::from_argument<detail::wait_argument::first_word, departure>(departing);
  if (HEDDLE_PLANTED(condition_queues_late)) d.held->unlock();
  d.from->announce(*d.self);
  if (!HEDDLE_PLANTED(condition_queues_late)) d.held->unlock();
}

/// How reports describe a fiber that waits to be notified.
struct detail::condition_waits {
  static void say(const condition_variable::departure& d, wait_text& to) {
    to.say("for a notify at condition_variable %p (with mutex %p)", static_cast<const void*>(d.from),
           static_cast<const void*>(d.held));
  }
  static void describe(void* argument, wait_text& to) {
    say(from_argument<wait_argument::first_word, const condition_variable::departure>(argument), to);
  }
  static void describe_bounded(void* argument, wait_text& to) {
    say(*static_cast<const condition_variable::departure*>(argument), to);
  }
  static const wait_description registered, registered_bounded;
};
const detail::wait_description detail::condition_waits::registered(condition_variable::announce_and_let_go, describe);
const detail::wait_description detail::condition_waits::registered_bounded(condition_variable::unlock_and_let_go,
                                                                           describe_bounded);

inline void condition_variable::announce(detail::waiter& self) noexcept {
  detail::waiter* nobody = nullptr;
  // release: so that who notifies sees the waiter and its suspended fiber; acquire half in take_lone(), join_queue().
  if (first_.compare_exchange_strong(nobody, &self, std::memory_order_release, std::memory_order_relaxed)) return;
  detail::thread_lock hold(lock_);
  join_queue(self);
}

/// Behind the one who has waited alone so far, if there is one.
void condition_variable::join_queue(detail::waiter& self) noexcept {
  detail::waiter* lone = first_.load(std::memory_order_relaxed);
  // acquire: so that the lone waiter is seen; release half in announce().
  while (lone != in_queue() &&
         !first_.compare_exchange_weak(lone, in_queue(), std::memory_order_acquire, std::memory_order_relaxed)) {
  }
  if (lone != nullptr && lone != in_queue() && !HEDDLE_PLANTED(lone_waiter_forgotten)) queue_.push_back(*lone);
  queue_.push_back(self);
}

/// After waiters have been taken out of the queue. relaxed: says nothing of them.
inline void condition_variable::note_queue() noexcept {
  if (queue_.empty()) first_.store(nullptr, std::memory_order_relaxed);
}

bool condition_variable::sleep(detail::bounded_waiter& self, mutex& m) noexcept {
  departure d{this, &m, &self};
  lock_.lock();
  join_queue(self);
  const detail::wait_state how = self.park(unlock_and_let_go, &d);
  lock_.unlocked_by_commit();
  if (how == detail::wait_state::signalled) return true;
  leave(self);
  return false;
}

/// In this order: lock_ is not held while the mutex takes its own lock (no order of the two is right for all), and the
/// waiter, which may be on its way out already, needs the mutex, so that lives until it is unlocked.
void condition_variable::unlock_and_let_go(void* departing) {
  const departure d = *static_cast<departure*>(departing);
  d.from->lock_.unlock_in_commit();
  d.held->unlock();
}

/// After a wait that nobody has notified.
void condition_variable::leave(detail::waiter& self) noexcept {
  detail::thread_lock hold(lock_);
  if (!detail::fifo<detail::waiter>::linked(self)) {
    --leaving_;
  } else if (!HEDDLE_PLANTED(leaver_stays_queued)) {
    queue_.erase(self);
    note_queue();
  }
}

/// For taking waiters out of the queue.
inline bool condition_variable::claim(detail::waiter& w) noexcept {
  if (w.claim()) return true;
  ++leaving_;
  return HEDDLE_PLANTED(notify_spent_on_ended);
}

/// Takes the one who waits alone out of `first_`, of which `first` was read. True: there is nobody else to wake.
/// The last touch of the object, which the waiter may destroy.
inline bool condition_variable::take_lone(detail::waiter*& first) noexcept {
  while (first != in_queue() && first != nullptr)
    // acquire: so that the waiter and its suspended fiber are seen; release half in announce().
    if (first_.compare_exchange_weak(first, nullptr, std::memory_order_acquire, std::memory_order_relaxed)) {
      first->wake();
      return true;
    }
  return first == nullptr;
}

/// Whether those who were in the queue when a notifier looked have left since. Then there is nothing to do, and
/// `first_`, where somebody may wait alone again, is not to be touched.
inline bool condition_variable::deserted() const noexcept {
  return queue_.empty() && !HEDDLE_PLANTED(latecomer_forgotten);
}

void condition_variable::notify_first(detail::waiter* first) noexcept {
  if (take_lone(first)) return;
  lock_.lock();
  if (deserted()) return lock_.unlock();
  first = queue_.pop_claimed([this](detail::waiter& w) HEDDLE_NO_THREAD_SAFETY_ANALYSIS { return claim(w); });
  if (HEDDLE_PLANTED(notify_spent_on_ended) && leaving_ != 0) first = nullptr;
  note_queue();
  lock_.unlock();
  if (first != nullptr) first->wake();
}

void condition_variable::notify_everybody(detail::waiter* first) noexcept {
  if (take_lone(first)) return;
  lock_.lock();
  if (deserted()) return lock_.unlock();
  first = queue_.take_claimed([this](detail::waiter& w) HEDDLE_NO_THREAD_SAFETY_ANALYSIS { return claim(w); });
  note_queue();
  lock_.unlock();
  // From here on the object may be gone, and each waiter is gone once it is awake.
  while (first != nullptr) {
    detail::waiter* const rest = first->next;
    first->wake();
    first = rest;
  }
}

condition_variable::~condition_variable() {
  for (;;) {
    {
      detail::thread_lock hold(lock_);
      if (first_.load(std::memory_order_relaxed) != nullptr)
        detail::destroyed_in_use("condition_variable", this,
                                 "destroyed while others wait; notify_all() and join them first");
      if (leaving_ == 0 || HEDDLE_PLANTED(leavers_not_awaited)) return;
    }
    this_fiber::yield();  // a timeout or stop has been faster than the notify; they are few instructions from leaving
  }
}

void condition_variable::waits_without_lock() const noexcept {
  detail::misuse("condition_variable", this, "wait without the lock; lock the mutex through the unique_lock first");
}

}  // namespace heddle
