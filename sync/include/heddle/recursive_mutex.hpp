// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstdint>

#include "heddle/detail/config.hpp"
#include "heddle/detail/platform.hpp"
#include "heddle/detail/wait.hpp"
#include "heddle/mutex.hpp"

namespace heddle {

/// A mutex that its owner may lock again; it is free when the owner has unlocked it as often. The owner is a fiber, or
/// a plain thread. Blocks the calling fiber only.
///
///     heddle::recursive_mutex m;
///     void visit(const node& n) {
///       std::lock_guard hold(m);
///       for (const node& child : n.children) visit(child);
///     }
///
/// Meets Lockable. Unlike std::recursive_mutex:
/// - a fiber remains the owner when it moves to another kernel thread, and another fiber on the same thread is not it;
/// - waiting is fair, as with heddle::mutex;
/// - unlocking what the caller does not own, and destroying it while it is owned, end the process with a message that
///   names it.
/// As with std, there is a limit to how often it may be locked (max_depth); lock() throws std::system_error beyond it.
/// A fiber that ends as the owner leaves it locked for ever.
///
/// Invariants:
/// 1. owner_ is written by the owner only, while it holds the mutex. So who reads itself there owns it, and anybody
///    else reads something else, old or new.
/// 2. depth_ belongs to the owner.
class recursive_mutex {
 public:
  /// How often one owner may lock it.
  static constexpr std::uint32_t max_depth = (1u << 24) - 1;

  constexpr recursive_mutex() noexcept = default;
  recursive_mutex(const recursive_mutex&) = delete;
  recursive_mutex& operator=(const recursive_mutex&) = delete;
  ~recursive_mutex() {
    if (owner_.load(std::memory_order_relaxed) != nullptr) [[unlikely]]
      destroyed_in_use();
  }

  /// Locks; blocks the fiber (or the plain thread) while another owns it. O(1) plus the wait. Throws std::system_error
  /// (resource_unavailable_try_again) beyond max_depth.
  void lock() {
    const void* const self = detail::caller();
    if (owned_by(self)) return deeper();
    if (!mutex_.try_lock()) [[unlikely]]
      mutex_.lock_slow_of_recursive();
    begin(self);
  }
  /// The same until a stop is requested (of a std::stop_token): false if that came first.
  [[nodiscard]] bool lock(const detail::stop_token& stop) {
    const void* const self = detail::caller();
    if (owned_by(self)) return deeper(), true;
    return mutex_.lock(stop) && begin(self);
  }
  /// Locks if it is free or the caller's; never blocks. False beyond max_depth, too.
  [[nodiscard]] bool try_lock() noexcept {
    return try_own([this] { return mutex_.try_lock(); });
  }
  /// Takes back one lock() of the caller, who must be the owner. Never blocks and never suspends; O(1).
  void unlock() noexcept {
    if (!owned_by(detail::caller())) [[unlikely]]
      not_owner();
    end();
  }

 private:
  friend class recursive_timed_mutex;
  friend struct detail::mutex_waits;  // for reports

  bool owned_by(const void* self) const noexcept { return owner_.load(std::memory_order_relaxed) == self; }
  /// Once more for the owner; for another if try_lock() locks mutex_.
  template <class F>
  bool try_own(F try_lock) noexcept(noexcept(try_lock())) {
    const void* const self = detail::caller();
    if (owned_by(self)) return try_deeper();
    return try_lock() && begin(self);
  }
  bool begin(const void* self) noexcept {
    owner_.store(self, std::memory_order_relaxed);
    depth_ = 1;
    return true;
  }
  bool try_deeper() noexcept {
    if (depth_ == max_depth) return false;
    ++depth_;
    return true;
  }
  void deeper() {
    if (!try_deeper()) [[unlikely]]
      too_deep();
  }
  void end() noexcept {
    if (--depth_ != 0) return;
    owner_.store(nullptr, std::memory_order_relaxed);
    mutex_.unlock();
  }
  [[noreturn]] HEDDLE_EXPORT static void too_deep();
  [[noreturn]] HEDDLE_EXPORT void not_owner(const char* kind = "recursive_mutex") const noexcept;
  HEDDLE_EXPORT void destroyed_in_use(const char* kind = "recursive_mutex") const noexcept;

  timed_mutex mutex_;  // which is as fast as one without deadlines
  detail::atomic<const void*> owner_{nullptr};
  std::uint32_t depth_ = 0;
};

/// A recursive_mutex that can be waited for until a deadline. Meets TimedLockable; everything else as
/// heddle::recursive_mutex has it.
///
///     heddle::recursive_timed_mutex m;
///     if (std::unique_lock hold(m, 5ms); hold.owns_lock()) work();
class recursive_timed_mutex : private recursive_mutex {
 public:
  using recursive_mutex::max_depth;

  constexpr recursive_timed_mutex() noexcept = default;
  ~recursive_timed_mutex() {
    if (owner_.load(std::memory_order_relaxed) != nullptr) [[unlikely]]
      destroyed_in_use("recursive_timed_mutex");
  }

  using recursive_mutex::lock;      // also with a stop token
  using recursive_mutex::try_lock;  // never blocks

  /// Locks; blocks the fiber (or the plain thread) while another owns it, but not longer than for `d`: false then, and
  /// beyond max_depth. O(1) plus the wait.
  template <class Rep, class Period>
  [[nodiscard]] bool try_lock_for(const std::chrono::duration<Rep, Period>& d) {
    return try_own([&] { return mutex_.try_lock_for(d); });
  }
  /// The same until `t` of any clock.
  template <class Clock, class Duration>
  [[nodiscard]] bool try_lock_until(const std::chrono::time_point<Clock, Duration>& t) {
    return try_own([&] { return mutex_.try_lock_until(t); });
  }
  /// Unlocks, as recursive_mutex::unlock() does.
  void unlock() noexcept {
    if (!owned_by(detail::caller())) [[unlikely]]
      not_owner("recursive_timed_mutex");
    end();
  }
};

}  // namespace heddle
