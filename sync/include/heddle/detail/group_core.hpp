// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "heddle/detail/bounded_wait.hpp"
#include "heddle/detail/config.hpp"
#include "heddle/detail/fifo.hpp"
#include "heddle/detail/local_values.hpp"
#include "heddle/detail/preemption.hpp"
#include "heddle/detail/start.hpp"
#include "heddle/detail/thread_mutex.hpp"
#include "heddle/fiber.hpp"
#include "heddle/this_fiber.hpp"
#include "heddle/wait_group.hpp"

namespace heddle::detail {

/// Why the children of a group have been asked to stop: the first reason there was.
enum class stop_cause : std::uint32_t {
  none,      ///< they have not been
  asked,     ///< request_stop(), the destructor, or a stop of what the group was made under
  failed,    ///< a child threw
  deadline,  ///< the group's own deadline, or that of a group above it, has passed
};

struct group_waits;

/// A group apart from its types: who runs, who failed, who must stop.
///
/// 1. A child is counted before it is started, and counted off as the last thing it does: its function's objects and
///    its fiber-local values are gone by then, and it touches the group no more.
/// 2. `cause_` is written before the stop is requested, once; `failure_` by the first child that throws, before it is
///    counted off, so that wait() may read it.
/// 3. With a limit, `running_` children hold a place; while somebody waits for one, running_ is the limit. A place is
///    given back before its child is counted off.
/// 4. Everything that refers to the group from outside is over before it is destroyed: children are counted off,
///    the fiber that watches the deadline is joined, the callbacks in the tokens above are taken out.
///
/// What runs callbacks of stop tokens is inline: they are user code, to be compiled as that is. It is never inlined,
/// since what it calls makes functions compiled for segmented stacks ask for a large one.
class group_core {
 public:
  /// No limit: 0. The group is stopped with the one that the caller belongs to, and with `above` (which may be empty).
  [[gnu::noinline]] group_core(std::size_t limit, nanoseconds_t deadline, const stop_token& above)
      : parent_(of_caller()), limit_(limit), deadline_(deadline), token_(source_.get_token()) {
    if (parent_ != nullptr) {
      on_parent_.emplace(parent_->token_, stopped_parent{this});
      if (deadline_ >= parent_->deadline_) {  // that one is watched already
        deadline_ = parent_->deadline_;
        deadline = no_deadline;
      }
    }
    if (above.stop_possible()) on_above_.emplace(above, stopped_above{this});
    if (deadline != no_deadline) watch_deadline();
  }
  group_core(const group_core&) = delete;
  group_core& operator=(const group_core&) = delete;
  [[gnu::noinline]] ~group_core() {
    if (of_caller() == this) [[unlikely]]
      waited_for_inside();
    stop(stop_cause::asked);  // the watcher's end too, and tells who keeps a token that the group is over
    wait_for_children();
    if (HEDDLE_PLANTED(watcher_not_joined)) watch_.detach();
    if (failure_ != nullptr) [[unlikely]]
      end_with_failure();
  }

  /// The innermost group that the caller belongs to, or null.
  static group_core* of_caller() noexcept {
    const own_locals* const mine = own_locals::find();
    return mine != nullptr ? mine->group() : nullptr;
  }

  const stop_token& token() const noexcept { return token_; }
  nanoseconds_t deadline() const noexcept { return deadline_; }
  // relaxed: a cause is seen by who sees the stop, since it is written before the request.
  stop_cause cause() const noexcept { return cause_.load(std::memory_order_relaxed); }

  /// Asks all to stop, and returns true, unless they have been asked before.
  [[gnu::noinline]] bool stop(stop_cause why) noexcept {
    stop_cause nothing = stop_cause::none;
    // relaxed: the request below publishes it.
    const bool first =
        !HEDDLE_PLANTED(stop_before_cause) && cause_.compare_exchange_strong(nothing, why, std::memory_order_relaxed);
    // std's stop state remembers by its thread who runs the callbacks.
    preemption_guard::begin();
    source_.request_stop();
    preemption_guard::end();
    if (HEDDLE_PLANTED(stop_before_cause))
      return cause_.compare_exchange_strong(nothing, why, std::memory_order_relaxed);  // as above
    return first;
  }

  /// What a child's function threw: its exception is in flight.
  [[gnu::noinline]] void failed() noexcept {
    // relaxed: only one writes failure_, and being counted off publishes it.
    if (!failed_.exchange(true, std::memory_order_relaxed) || HEDDLE_PLANTED(last_failure_kept)) note_failure();
    stop(stop_cause::failed);
  }

  /// Before a child is started: gets it a place, if need be by waiting for one. False: the group has been stopped.
  bool enter() {
    if (token_.stop_requested() || (limit_ != 0 && !take_place() && !wait_for_place())) return false;
    count();
    return true;
  }
  /// The same without waiting: false also if all places are taken.
  bool try_enter() noexcept {
    if (token_.stop_requested() || (limit_ != 0 && !take_place())) return false;
    count();
    return true;
  }
  /// The last thing a child does; the group may be gone by then.
  void leave() noexcept {
    if (HEDDLE_PLANTED(counted_off_early)) children_.done();
    if (limit_ != 0) give_place();
    if (!HEDDLE_PLANTED(counted_off_early)) children_.done();
  }

  /// Blocks until all children have ended; rethrows the first exception.
  void wait() {
    if (of_caller() == this) [[unlikely]]
      waited_for_inside();
    wait_for_children();
    if (failure_ != nullptr || cause() == stop_cause::deadline) [[unlikely]]
      throw_failure();
  }

 private:
  struct stopped_parent {
    group_core* group;
    void operator()() const noexcept {
      group->stop(group->parent_->cause() == stop_cause::deadline ? stop_cause::deadline : stop_cause::asked);
    }
  };
  struct stopped_above {
    group_core* group;
    void operator()() const noexcept { group->stop(stop_cause::asked); }
  };

  friend struct group_waits;  // for reports
  HEDDLE_EXPORT static const countdown::words words;

  void wait_for_children() noexcept { children_.count_.wait(words); }
  void count() noexcept {
    if (!HEDDLE_PLANTED(child_not_counted)) children_.add();
  }
  // Apart, as above.
  [[gnu::noinline]] void watch_deadline() {
    if (platform::now() >= deadline_) return static_cast<void>(stop(stop_cause::deadline));
    watch_ = heddle::spawn([this] {
      if (sleep_until(deadline_, token_)) stop(stop_cause::deadline);
    });
  }
  [[gnu::noinline]] bool wait_for_place() {
    wait_bounds until_stop;
    if (!HEDDLE_PLANTED(stop_misses_spawner)) until_stop.stop = &token_;
    bounded_waiter self(until_stop);
    if (!queue_for_place(self)) return false;
    if (!token_.stop_requested()) return true;
    give_place();
    return false;
  }
  [[noreturn, gnu::noinline]] void throw_failure() {
    rethrown_ = true;
    if (failure_ != nullptr) std::rethrow_exception(failure_);
    throw_deadline_exceeded();
  }
  static void unlock_places(void* self) noexcept;
  HEDDLE_EXPORT void note_failure() noexcept;
  HEDDLE_EXPORT void end_with_failure() noexcept;
  HEDDLE_EXPORT bool take_place() noexcept;
  HEDDLE_EXPORT bool queue_for_place(bounded_waiter& self) noexcept;
  HEDDLE_EXPORT void give_place() noexcept;
  [[noreturn]] HEDDLE_EXPORT static void throw_deadline_exceeded();
  [[noreturn]] HEDDLE_EXPORT void waited_for_inside() const noexcept;

  group_core* const parent_;  // alive whenever its token is asked to stop
  const std::size_t limit_;
  nanoseconds_t deadline_;
  wait_group children_;
  atomic<stop_cause> cause_{stop_cause::none};
  atomic<bool> failed_{false};
  std::exception_ptr failure_;
  char* failed_child_ = nullptr;  // malloc'ed: its name, with the failure
  bool rethrown_ = false;         // by a wait(); its caller is who destroys the group, or comes before

  thread_mutex places_lock_;
  std::size_t running_ HEDDLE_GUARDED_BY(places_lock_) = 0;
  fifo<waiter> queue_ HEDDLE_GUARDED_BY(places_lock_);

  stop_source source_;
  const stop_token token_;
  std::optional<stop_callback<stopped_parent>> on_parent_;
  std::optional<stop_callback<stopped_above>> on_above_;
  join_handle<void> watch_;
};

/// The closure of a child: its function, and the group.
template <class F, bool Segmented = compiled_segmented>
struct group_child {
  group_core* group;
  F f;
  static constexpr bool joinable = false;
  static constexpr bool trivial = moves_as_bytes<F>;

  static void run(void* at) {
    auto& child = *static_cast<group_child*>(at);
    group_core& g = *child.group;
    {
      const own_locals here(&g);
      try {
        if constexpr (std::is_invocable_v<F, stop_token>)
          std::move(child.f)(g.token());
        else
          std::move(child.f)();
      } catch (...) {
        if (HEDDLE_PLANTED(failure_after_end)) g.leave();
        g.failed();
        if (HEDDLE_PLANTED(failure_after_end)) return;
      }
      child.~group_child();
    }
    g.leave();
  }
  static void destroy(void*) noexcept {}
};

}  // namespace heddle::detail
