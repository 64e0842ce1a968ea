// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>

#include "heddle/detail/bounded_wait.hpp"
#include "heddle/detail/config.hpp"
#include "heddle/detail/deadline.hpp"
#include "heddle/detail/fifo.hpp"
#include "heddle/detail/platform.hpp"
#include "heddle/detail/thread_mutex.hpp"
#include "heddle/mutex.hpp"

namespace heddle {
namespace detail {
struct condition_waits;
}

using std::cv_status;

/// Lets fibers, plain threads, or both wait under a heddle::mutex until another says that something has changed.
/// Blocks the calling fiber only.
///
///     heddle::mutex m;
///     heddle::condition_variable changed;
///     std::deque<int> jobs;
///     heddle::run([&] {
///       auto worker = heddle::spawn([&] {
///         std::unique_lock lock(m);
///         changed.wait(lock, [&] { return !jobs.empty(); });
///         return jobs.front();
///       });
///       std::unique_lock lock(m);
///       jobs.push_back(42);
///       lock.unlock();
///       changed.notify_one();
///       worker.join();
///     });
///
/// Unlike std::condition_variable:
/// - waits without a deadline may be given a std::stop_token, as those of std::condition_variable_any;
/// - there are no spurious wakes, except of wait_until() by a clock that the kernel may set: it returns no_timeout if
///   that clock has not reached the time when the wait is over (and between a notify and the waiter's turn at the mutex
///   others may take what it was woken for, so wait with a predicate);
/// - who has waited longest is notified first, and a notify_one() is never spent on a waiter whose deadline or stop
///   has ended its wait;
/// - waiting without holding the lock, and destroying it while somebody waits, end the process with a message.
/// What must be the same: all who wait at one time use the same mutex, and what they wait for changes under that mutex
/// (the notify itself may come after the unlock). It may be destroyed when all who wait have been notified, even if
/// they have not returned yet.
///
/// Waits: O(1), with a deadline O(log sleepers); no allocation. notify_one() O(1), a load if nobody waits; notify_all()
/// O(those who wait). From fibers and plain threads.
///
/// Invariants:
/// 1. `first_` says who waits: nobody, one waiter, or those in the queue (`in_queue`). From and to `in_queue` it
///    changes under lock_ only, and it is that exactly while the queue is not empty. A waiter with bounds is always
///    queued, since only under lock_ it can be found that its wait has ended.
/// 2. A waiter announces itself in `first_` before it lets go of its mutex. So who changes what it waits for under that
///    mutex, and looks at `first_` later, finds it.
/// 3. Who is notified has been taken out of `first_`, or claimed under lock_; it never touches the object again. Who
///    leaves otherwise takes lock_ once more; `leaving_` counts those of them that are no longer in the queue, and the
///    destructor waits for them.
///
/// Source: A. Birrell, "An Introduction to Programming with Threads", 1989, for the semantics; the queue beside the
/// word as in heddle::mutex.
class condition_variable {
 public:
  constexpr condition_variable() noexcept = default;
  condition_variable(const condition_variable&) = delete;
  condition_variable& operator=(const condition_variable&) = delete;
  HEDDLE_EXPORT ~condition_variable();

  /// Wakes the one who has waited longest, if anybody waits. Never blocks. With or without the mutex held.
  void notify_one() noexcept {
    // relaxed: who has changed what the waiter waits for, under the mutex, comes after the waiter's unlock of that
    // mutex, which comes after the store to `first_`; so this load sees it, or that the waiter has been notified since.
    if (detail::waiter* const first = first_.load(std::memory_order_relaxed)) notify_first(first);
  }
  /// Wakes all who wait now, in the order in which they came.
  void notify_all() noexcept {
    // relaxed: as above.
    if (detail::waiter* const first = first_.load(std::memory_order_relaxed)) notify_everybody(first);
  }

  /// Unlocks, waits until notified, and locks again.
  void wait(std::unique_lock<mutex>& lock) {
    detail::waiter self;
    departure d{this, &held(lock), &self};
    self.park(announce_and_let_go, detail::as_argument<detail::wait_argument::first_word>(d));
    d.held->lock();
  }
  /// Waits until pred(), which is called with the lock held.
  template <class Predicate>
  void wait(std::unique_lock<mutex>& lock, Predicate pred) {
    while (!pred()) wait(lock);
  }
  /// The same until a stop is requested: returns what pred() says then.
  template <class Predicate>
  bool wait(std::unique_lock<mutex>& lock, const detail::stop_token& stop, Predicate pred) {
    while (!stop.stop_requested()) {
      if (pred()) return true;
      wait_within(lock, {.stop = &stop});
    }
    return pred();
  }

  /// Waits until notified or until `t` of any clock has passed.
  template <class Clock, class Duration>
  cv_status wait_until(std::unique_lock<mutex>& lock, const std::chrono::time_point<Clock, Duration>& t) {
    return waits_until(lock, t, nullptr) ? cv_status::no_timeout : cv_status::timeout;
  }
  template <class Rep, class Period>
  cv_status wait_for(std::unique_lock<mutex>& lock, const std::chrono::duration<Rep, Period>& d) {
    return wait_within(lock, {.deadline = detail::deadline_after(d)}) ? cv_status::no_timeout : cv_status::timeout;
  }
  /// Waits until pred() or until `t` has passed: returns what pred() says then.
  template <class Clock, class Duration, class Predicate>
  bool wait_until(std::unique_lock<mutex>& lock, const std::chrono::time_point<Clock, Duration>& t, Predicate pred) {
    while (!pred())
      if (!waits_until(lock, t, nullptr)) return pred();
    return true;
  }
  template <class Rep, class Period, class Predicate>
  bool wait_for(std::unique_lock<mutex>& lock, const std::chrono::duration<Rep, Period>& d, Predicate pred) {
    const detail::wait_bounds bounds{.deadline = detail::deadline_after(d)};
    while (!pred())
      if (!wait_within(lock, bounds)) return pred();
    return true;
  }
  /// Waits until pred(), until `t` has passed, or until a stop is requested: returns what pred() says then.
  template <class Clock, class Duration, class Predicate>
  bool wait_until(std::unique_lock<mutex>& lock, const detail::stop_token& stop,
                  const std::chrono::time_point<Clock, Duration>& t, Predicate pred) {
    while (!stop.stop_requested()) {
      if (pred()) return true;
      if (!waits_until(lock, t, &stop)) break;
    }
    return pred();
  }
  template <class Rep, class Period, class Predicate>
  bool wait_for(std::unique_lock<mutex>& lock, const detail::stop_token& stop,
                const std::chrono::duration<Rep, Period>& d, Predicate pred) {
    const detail::wait_bounds bounds{.deadline = detail::deadline_after(d), .stop = &stop};
    while (!stop.stop_requested()) {
      if (pred()) return true;
      if (!wait_within(lock, bounds)) break;
    }
    return pred();
  }

  /// Waits within bounds that the caller, an operation of several waits, has made of its own limits. True: notified. A
  /// deadline that has passed is no reason not to unlock: who waits in a loop lets others in.
  bool wait_within(std::unique_lock<mutex>& lock, const detail::wait_bounds& bounds) {
    mutex& m = held(lock);
    detail::bounded_waiter self(bounds);
    const bool notified = sleep(self, m);
    m.lock();
    return notified;
  }

 private:
  friend class condition_variable_any;
  friend struct detail::condition_waits;  // for reports

  mutex& held(std::unique_lock<mutex>& lock) const noexcept {
    if (!lock.owns_lock()) [[unlikely]]
      waits_without_lock();
    return *lock.mutex();
  }
  template <class Clock, class Duration>
  bool waits_until(std::unique_lock<mutex>& lock, const std::chrono::time_point<Clock, Duration>& t,
                   const detail::stop_token* stop) {
    // One attempt: a notify between two of them would be lost, for nobody asks the predicate there. A clock that has
    // not reached `t` then makes it a spurious wake.
    const detail::deadline_for_now bound = detail::deadline_at(t);
    return wait_within(lock, {bound.deadline, stop}) || (stop != nullptr && stop->stop_requested()) ||
           !(bound.final || detail::reached(t));
  }

  /// The argument of a waiter's commit function, on the stack of the waiter. It begins as wait_argument::first_word
  /// says.
  struct departure {
    condition_variable* from;
    mutex* held;
    detail::waiter* self;
  };
  static detail::waiter* in_queue() noexcept { return reinterpret_cast<detail::waiter*>(std::uintptr_t{1}); }

  HEDDLE_EXPORT static void announce_and_let_go(void* departing);
  static void unlock_and_let_go(void* departing);
  HEDDLE_EXPORT bool sleep(detail::bounded_waiter& self, mutex& m) noexcept;
  HEDDLE_EXPORT void notify_first(detail::waiter* first) noexcept;
  HEDDLE_EXPORT void notify_everybody(detail::waiter* first) noexcept;
  [[noreturn]] HEDDLE_EXPORT void waits_without_lock() const noexcept;
  bool take_lone(detail::waiter*& first) noexcept;
  void announce(detail::waiter& self) noexcept;
  void join_queue(detail::waiter& self) noexcept HEDDLE_REQUIRES(lock_);
  void note_queue() noexcept HEDDLE_REQUIRES(lock_);
  bool deserted() const noexcept HEDDLE_REQUIRES(lock_);
  void leave(detail::waiter& self) noexcept;
  bool claim(detail::waiter& w) noexcept HEDDLE_REQUIRES(lock_);

  detail::atomic<detail::waiter*> first_{nullptr};
  detail::thread_mutex lock_;
  std::uint32_t leaving_ HEDDLE_GUARDED_BY(lock_) = 0;
  detail::fifo<detail::waiter> queue_ HEDDLE_GUARDED_BY(lock_);
};

}  // namespace heddle
