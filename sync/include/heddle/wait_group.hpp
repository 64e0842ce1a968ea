// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <type_traits>
#include <utility>

#include "heddle/detail/bounded_wait.hpp"
#include "heddle/detail/config.hpp"
#include "heddle/detail/countdown.hpp"
#include "heddle/detail/deadline.hpp"
#include "heddle/fiber.hpp"

namespace heddle {
namespace detail {
class group_core;
}

/// Waits for a number of things to be done, by fibers or plain threads. wait() blocks the calling fiber only.
///
///     heddle::run([] {
///       heddle::wait_group batch;
///       for (int i = 0; i < 10; ++i) batch.go([] { work(); });
///       batch.wait();   // all ten are done; the group may be used again, or go out of scope
///     });
///
/// go() is add(), heddle::go() and done() in one; each may be used by itself.
///
/// Unlike std::latch the count may grow while somebody waits, and the group can be used again at any time:
/// who waits is released when the count next reaches zero, and what is added after that concerns later
/// waits only. It may be destroyed as soon as wait() has returned to all who called it.
/// What was done before done() is seen after wait().
///
/// Source: Go's sync.WaitGroup; see detail::countdown.
class wait_group {
 public:
  constexpr wait_group() noexcept : wait_group(0) {}
  /// Starts with a count.
  constexpr explicit wait_group(std::uint32_t count) noexcept : count_(count) {}
  wait_group(const wait_group&) = delete;
  wait_group& operator=(const wait_group&) = delete;
  ~wait_group() {
    if (count_.has_waiters()) [[unlikely]]
      destroyed_in_use();
  }

  /// Announces n more things to be done. Call it before the work can call done(), not inside the work. Never
  /// blocks; O(1). A count above 2^32 - 1 ends the process with a message. From fibers and plain threads.
  void add(std::uint32_t n = 1) noexcept { count_.add(n, words); }

  /// Tells that n announced things are done; the last one wakes all who wait.
  /// Never blocks; O(1), and O(waiters) for the last. More than was added ends the process with a message.
  void done(std::uint32_t n = 1) noexcept { count_.done(n, words); }

  /// Runs f() on a fiber of its own and counts it until it has ended. An exception that leaves f ends the process with
  /// a report that names the fiber. Throws what heddle::go() throws; nothing is counted then.
  template <class F>
  requires std::is_invocable_v<std::decay_t<F>>
  void go(F&& f) {
    add();
    struct undo {
      wait_group* group;
      ~undo() {
        if (group != nullptr) group->done();
      }
    } unless_started{this};
    // f's own members go before done() lets somebody believe that all work is over.
    detail::start_detached(
        nullptr, [this] { done(); }, std::forward<F>(f));
    unless_started.group = nullptr;
  }

  /// Blocks the fiber (or the plain thread) until the count is zero; returns at once if it is. Any number may
  /// wait. O(1) plus the wait.
  void wait() noexcept { count_.wait(words); }
  /// The same until a stop is requested. True: the count was zero.
  bool wait(const detail::stop_token& stop) { return count_.wait({.stop = &stop}, words); }
  /// Not longer than `d`, or until `t` of any clock has passed. True: the count was zero.
  template <class Rep, class Period>
  bool wait_for(const std::chrono::duration<Rep, Period>& d) {
    return count_.is_zero() || count_.wait({.deadline = detail::deadline_after(d)}, words);
  }
  template <class Clock, class Duration>
  bool wait_until(const std::chrono::time_point<Clock, Duration>& t) {
    return detail::attempt_until(t, [this](detail::nanoseconds_t deadline) { return count_.wait({deadline}, words); });
  }

 private:
  friend class detail::group_core;  // whose children it counts
  static constexpr detail::countdown::words words{
      "wait_group", "add", "done", "add() before the work starts",
      "for %s %p with a count of %u, until done() has been called so often"};
  HEDDLE_EXPORT void destroyed_in_use() const noexcept;

  detail::countdown count_;
};

}  // namespace heddle
