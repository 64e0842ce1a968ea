// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <memory>
#include <mutex>

#include "heddle/condition_variable.hpp"
#include "heddle/detail/bounded_wait.hpp"
#include "heddle/detail/deadline.hpp"
#include "heddle/mutex.hpp"

namespace heddle {

/// A condition_variable for any lock: anything with lock() and unlock(), so a std::unique_lock or std::shared_lock of
/// any mutex, or a mutex itself. Blocks the calling fiber only, as far as the lock's own functions do.
///
///     std::shared_mutex table_lock;
///     heddle::condition_variable_any table_changed;
///     bool wait_for_row(std::stop_token stop) {
///       std::shared_lock lock(table_lock);
///       return table_changed.wait(lock, stop, [] { return has_row(); });
///     }
///
/// As std::condition_variable_any, with the differences that condition_variable has. A notify costs a lock and unlock
/// of an inner mutex; with heddle::mutex take condition_variable. May be destroyed when all who wait have been
/// notified, even if they have not returned yet. A relock that throws ends the process, as in std.
///
/// Construction throws std::bad_alloc. All else as condition_variable. From fibers and plain threads.
///
/// Source: H. Hinnant's condition_variable_any (C++ committee paper N2406): an inner mutex, locked before the outer one
/// is let go, makes unlock-and-wait one step for those who notify; the waiters share the inner part.
class condition_variable_any {
 public:
  condition_variable_any() : core_(std::make_shared<core>()) {}
  condition_variable_any(const condition_variable_any&) = delete;
  condition_variable_any& operator=(const condition_variable_any&) = delete;

  /// Wakes the one who has waited longest, if anybody waits. With or without the lock held. Blocks no longer than it
  /// takes others to begin or end a wait.
  // Under the inner mutex, so the waiter, which needs it to return, keeps the core alive until this is done.
  void notify_one() noexcept {
    const std::lock_guard inner(core_->inner);
    core_->changed.notify_one();
  }
  /// Wakes all who wait now.
  void notify_all() noexcept {
    const std::lock_guard inner(core_->inner);
    core_->changed.notify_all();
  }

  /// Unlocks, waits until notified, and locks again.
  template <class Lock>
  void wait(Lock& lock) {
    unlocked(lock, [](core& c, std::unique_lock<mutex>& inner) {
      c.changed.wait(inner);
      return true;
    });
  }
  /// Waits until pred(), which is called with the lock held.
  template <class Lock, class Predicate>
  void wait(Lock& lock, Predicate pred) {
    while (!pred()) wait(lock);
  }
  /// The same until a stop is requested: returns what pred() says then.
  template <class Lock, class Predicate>
  bool wait(Lock& lock, const detail::stop_token& stop, Predicate pred) {
    while (!stop.stop_requested()) {
      if (pred()) return true;
      wait_within(lock, {.stop = &stop});
    }
    return pred();
  }

  /// Waits until notified or until `t` of any clock has passed.
  template <class Lock, class Clock, class Duration>
  cv_status wait_until(Lock& lock, const std::chrono::time_point<Clock, Duration>& t) {
    return waits_until(lock, t, nullptr) ? cv_status::no_timeout : cv_status::timeout;
  }
  template <class Lock, class Rep, class Period>
  cv_status wait_for(Lock& lock, const std::chrono::duration<Rep, Period>& d) {
    return wait_within(lock, {.deadline = detail::deadline_after(d)}) ? cv_status::no_timeout : cv_status::timeout;
  }
  /// Waits until pred() or until `t` has passed: returns what pred() says then.
  template <class Lock, class Clock, class Duration, class Predicate>
  bool wait_until(Lock& lock, const std::chrono::time_point<Clock, Duration>& t, Predicate pred) {
    while (!pred())
      if (!waits_until(lock, t, nullptr)) return pred();
    return true;
  }
  template <class Lock, class Rep, class Period, class Predicate>
  bool wait_for(Lock& lock, const std::chrono::duration<Rep, Period>& d, Predicate pred) {
    const detail::wait_bounds bounds{.deadline = detail::deadline_after(d)};
    while (!pred())
      if (!wait_within(lock, bounds)) return pred();
    return true;
  }
  /// Waits until pred(), until `t` has passed, or until a stop is requested: returns what pred() says then.
  template <class Lock, class Clock, class Duration, class Predicate>
  bool wait_until(Lock& lock, const detail::stop_token& stop, const std::chrono::time_point<Clock, Duration>& t,
                  Predicate pred) {
    while (!stop.stop_requested()) {
      if (pred()) return true;
      if (!waits_until(lock, t, &stop)) break;
    }
    return pred();
  }
  template <class Lock, class Rep, class Period, class Predicate>
  bool wait_for(Lock& lock, const detail::stop_token& stop, const std::chrono::duration<Rep, Period>& d,
                Predicate pred) {
    const detail::wait_bounds bounds{.deadline = detail::deadline_after(d), .stop = &stop};
    while (!stop.stop_requested()) {
      if (pred()) return true;
      if (!wait_within(lock, bounds)) break;
    }
    return pred();
  }

 private:
  struct core {
    mutex inner;
    condition_variable changed;
  };

  /// Locks again however the scope is left. noexcept: who waited must not go on without the lock.
  template <class Lock>
  struct relock {
    Lock& lock;
    ~relock() { lock.lock(); }
  };

  /// f(core, inner) with the inner lock instead of the outer one, which is taken again when the inner one is free: the
  /// order in which a notifier takes them.
  template <class Lock, class F>
  bool unlocked(Lock& lock, F f) {
    const std::shared_ptr<core> c = core_;
    std::unique_lock first(c->inner);
    lock.unlock();
    const relock<Lock> at_end{lock};
    std::unique_lock inner(std::move(first));  // let go before the other is taken
    return f(*c, inner);
  }
  template <class Lock>
  bool wait_within(Lock& lock, const detail::wait_bounds& bounds) {
    return unlocked(lock,
                    [&](core& c, std::unique_lock<mutex>& inner) { return c.changed.wait_within(inner, bounds); });
  }
  template <class Lock, class Clock, class Duration>
  bool waits_until(Lock& lock, const std::chrono::time_point<Clock, Duration>& t, const detail::stop_token* stop) {
    // One attempt, as in condition_variable.
    const detail::deadline_for_now bound = detail::deadline_at(t);
    return wait_within(lock, {bound.deadline, stop}) || (stop != nullptr && stop->stop_requested()) ||
           !(bound.final || detail::reached(t));
  }

  std::shared_ptr<core> core_;
};

}  // namespace heddle
