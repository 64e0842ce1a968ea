// SPDX-License-Identifier: BSL-1.0
//
// Waits that may end before what they wait for has come: by a deadline, or by a stop request.
#pragma once

#include <memory>

#include "heddle/detail/deadline.hpp"
#include "heddle/detail/timer.hpp"
#include "heddle/detail/wait.hpp"

namespace heddle::detail {

/// How long a wait may last: until the deadline has passed or a stop has been requested, whichever comes first.
struct wait_bounds {
  nanoseconds_t deadline = no_deadline;  ///< of the monotonic clock
  const stop_token* stop = nullptr;      ///< outlives the wait
};

/// A waiter whose wait has bounds. The path of a wait:
///
///     bounded_waiter self(bounds);            // may be over already: begin() says so
///     lock; look; queue self
///     switch (self.park(unlock, ...)):        // suspends once the state is `asleep`
///       signalled:           somebody took self out of the queue by claim(), and it has what it waited for
///       timed_out, stopped:  lock; take self out of the queue if it is still linked there; unlock
///
/// 1. Who takes a waiter out of a queue asks claim(), under the queue's lock. One that says no is left out, and must be
///    marked as no longer linked (fifo does it), since its owner will look.
/// 2. The commit function unlocks last and touches nothing of the sleeper afterwards, and the sleeper takes that lock
///    before it leaves, unless it was signalled by one who held it.
/// 3. The same object may park again after rearm().
class HEDDLE_EXPORT bounded_waiter : public waiter {
 public:
  explicit bounded_waiter(const wait_bounds& b) : waiter(with_bounds) {
    alarm_.deadline = b.deadline;
    if (b.stop != nullptr && b.stop->stop_possible()) subscribe(*b.stop);
  }
  ~bounded_waiter() {
    if (subscribed_) unsubscribe();
  }

  /// Suspends the caller, as waiter::park() does, until the wait has ended; returns what ended it.
  wait_state park(void (*commit)(void*), void* arg) noexcept;
  /// Of one that is parked: the argument of its commit; null if a deadline or a stop request may end the wait.
  void* argument_if_unbounded() const noexcept {
    return alarm_.deadline == no_deadline && !subscribed_ ? argument_ : nullptr;
  }
  /// For reports, of one that is parked by park(): its commit, its argument, and what else ends the wait.
  struct wait {
    void (*commit)(void*);
    void* argument;
    bool deadline;
    bool stop;
  };
  wait parked_by() const noexcept { return {commit_, argument_, alarm_.deadline != no_deadline, subscribed_}; }
  /// Before another park().
  void rearm(const wait_bounds& b) {
    if (subscribed_) unsubscribe();
    state_.store(wait_state::open, std::memory_order_relaxed);
    if (b.stop != nullptr && b.stop->stop_possible()) subscribe(*b.stop);
  }

 protected:
  /// park() for one that queues itself: queue(arg) runs when the fiber is off its stack, and calls falls_asleep()
  /// under the lock of its queue. Not on a plain thread.
  wait_state park_by(void (*queue)(void*), void* arg) noexcept;
  /// False: the wait has ended before it could begin, so nobody will wake the sleeper.
  bool falls_asleep() noexcept;

 private:
  struct stop_request {
    bounded_waiter* waiting;
    void operator()() const noexcept { waiting->stop(); }
  };
  // Apart, since what they call makes functions compiled for segmented stacks ask for a large one, which a fiber that
  // parks there would keep.
  [[gnu::noinline]] void subscribe(const stop_token& token) {
    std::construct_at(&on_stop_, token, stop_request{this});
    subscribed_ = true;
  }
  [[gnu::noinline]] void unsubscribe() noexcept {
    subscribed_ = false;
    std::destroy_at(&on_stop_);
  }
  void stop() noexcept;
  static void suspended(void* self);
  void park_thread() noexcept;
  wait_state settle() noexcept;

  timer alarm_;
  void (*commit_)(void*) = nullptr;
  void* argument_ = nullptr;
  bool subscribed_ = false;
  union {  // not std::optional, whose destructor would be inlined into those functions
    stop_callback<stop_request> on_stop_;
  };
};

/// Whether the bounds leave no time to wait: the deadline has passed, or the stop has been requested.
inline bool over(const wait_bounds& b) noexcept {
  return (b.stop != nullptr && b.stop->stop_requested()) ||
         (b.deadline != no_deadline && monotonic_now() >= b.deadline);
}

}  // namespace heddle::detail
