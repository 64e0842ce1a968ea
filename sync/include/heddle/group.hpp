// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include "heddle/detail/deadline.hpp"
#include "heddle/detail/group_core.hpp"

namespace heddle {

/// Thrown by group::wait() when the group's deadline stopped it.
class HEDDLE_EXPORT deadline_exceeded : public std::runtime_error {
 public:
  deadline_exceeded();
  ~deadline_exceeded() override;
};

/// What may be said of a group when it is made.
struct group_options {
  /// How many children run at once, at most; further spawns wait. 0: as many as there are.
  std::size_t limit = 0;
  /// When the children are asked to stop: at `deadline`, or `timeout` after the group was made, whichever is earlier.
  /// max(): never. Of type std::chrono::steady_clock::time_point and std::chrono::nanoseconds, but other units convert
  /// to them without overflow.
  detail::any_steady_time deadline = std::chrono::steady_clock::time_point::max();
  detail::any_nanoseconds timeout = std::chrono::nanoseconds::max();
  /// A stop of this stops the group; beside the group that its maker belongs to, which always does.
  detail::stop_token stop = {};
};

/// A scope for fibers: its children have ended when it ends. The first exception that leaves a child asks the others to
/// stop, and comes out of wait().
///
///     std::vector<page> pages(urls.size());
///     heddle::group g({.limit = 8, .timeout = std::chrono::seconds(5)});
///     for (std::size_t i = 0; i < urls.size(); ++i)
///       g.spawn([&, i](std::stop_token stop) { pages[i] = fetch(urls[i], stop); });
///     g.wait();   // all pages are there; or throws what a fetch threw; or deadline_exceeded
///
/// Stopping is a request, as std::stop_token has it: children look at their token, pass it to what they wait in, or run
/// to their end. A group that is stopped starts no more children. It is stopped by the first exception, by
/// request_stop(), by its deadline, by its destructor, and together with the group that the fiber belongs to which made
/// it, and so on upwards: `this_fiber::stop_token()` and `this_fiber::deadline()` say the same to code that was not
/// handed a token. Fibers made by heddle::go() and heddle::spawn() belong to no group.
///
/// What children did is seen after wait(). After a wait() that did not throw the group may be used again. It is
/// destroyed when its children have ended: without wait() its destructor asks them to stop and waits for them, and an
/// exception that none has waited for is lost. One that waits for a group from inside ends the process with a message.
///
/// Everything may be called from fibers and plain threads, by several at once; children may spawn siblings. A group
/// with a deadline costs a fiber that sleeps until then, if no group above it has an earlier one.
///
/// Source: Go's errgroup and context; structured concurrency as in Python's trio (nurseries, cancel scopes).
class group {
 public:
  /// Throws std::bad_alloc; std::system_error if a deadline must be watched and the runtime cannot be started.
  group() : group(group_options{}) {}
  explicit group(const group_options& o)
      : core_(
            o.limit,
            std::min(
                o.deadline == std::chrono::steady_clock::time_point::max() ? detail::no_deadline
                                                                           : detail::deadline_at(o.deadline).deadline,
                o.timeout == std::chrono::nanoseconds::max() ? detail::no_deadline : detail::deadline_after(o.timeout)),
            o.stop) {}
  group(const group&) = delete;
  group& operator=(const group&) = delete;
  /// Asks those children to stop that still run, and waits for them. Whoever keeps a token of the group sees a stop.
  /// The exception that no wait() has rethrown is reported, see options::lost_exceptions; of further ones nobody hears,
  /// here as with wait().
  ~group() = default;

  /// Runs f() or f(std::stop_token) on a fiber of its own, as a child. Waits while `limit` children run, first come
  /// first served; so a child must not spawn into its own group when that is full. False: the group has been stopped,
  /// and f is dropped.
  /// Throws std::bad_alloc, std::system_error, and what moving f throws. O(1), about the price of heddle::go().
  template <class F>
  requires(std::is_invocable_v<std::decay_t<F>> ||
           std::is_invocable_v<std::decay_t<F>, detail::stop_token>) bool spawn(F&& f) {
    return core_.enter() && start(nullptr, std::forward<F>(f));
  }
  /// The same for a fiber with a name or a stack size of its own.
  template <class F>
  requires(std::is_invocable_v<std::decay_t<F>> ||
           std::is_invocable_v<std::decay_t<F>, detail::stop_token>) bool spawn(const fiber_options& o, F&& f) {
    return core_.enter() && start(&o, std::forward<F>(f));
  }

  /// The same if no waiting is needed; false also if `limit` children run. Never blocks.
  template <class F>
  requires(std::is_invocable_v<std::decay_t<F>> || std::is_invocable_v<std::decay_t<F>, detail::stop_token>)
      [[nodiscard]] bool try_spawn(F&& f) {
    return core_.try_enter() && start(nullptr, std::forward<F>(f));
  }

  /// Blocks the fiber, or the plain thread, until all children have ended. Then rethrows the first exception that left
  /// one of them; if none did, and a deadline has stopped the group, throws deadline_exceeded. A group that was stopped
  /// otherwise ends normally. Not cancellable: it is the children that are.
  void wait() { core_.wait(); }

  /// Asks all children to stop. False: they have been asked before. Runs the callbacks of std::stop_callbacks, which
  /// must not block.
  bool request_stop() noexcept { return core_.stop(detail::stop_cause::asked); }
  /// Shows a stop from any cause, and the end of the group.
  [[nodiscard]] detail::stop_token get_token() const noexcept { return core_.token(); }
  [[nodiscard]] bool stop_requested() const noexcept { return core_.token().stop_requested(); }
  /// Whether it was a deadline that stopped the group, its own or one above it.
  [[nodiscard]] bool timed_out() const noexcept { return core_.cause() == detail::stop_cause::deadline; }

 private:
  template <class F>
  bool start(const fiber_options* o, F&& f) {
    using child_type = detail::group_child<std::decay_t<F>>;
    struct admission {
      detail::group_core* core;
      ~admission() {
        if (core != nullptr) core->leave();
      }
    } unless_started{&core_};
    detail::start_closure<child_type>([&]() -> child_type { return {&core_, std::forward<F>(f)}; }, o);
    unless_started.core = nullptr;
    return true;
  }

  detail::group_core core_;
};

namespace this_fiber {

/// The token of the innermost group that the fiber belongs to; an empty one, which never says stop, if there is none.
[[nodiscard]] inline detail::stop_token stop_token() noexcept {
  const detail::group_core* const g = detail::group_core::of_caller();
  return g != nullptr ? g->token() : detail::stop_token();
}

/// Whether that token shows a stop: about 4 ns, a quarter of what a token costs.
[[nodiscard]] inline bool stop_requested() noexcept {
  const detail::group_core* const g = detail::group_core::of_caller();
  return g != nullptr && g->token().stop_requested();
}

/// When the group that the fiber belongs to will be stopped: the nearest deadline of it and those above it.
[[nodiscard]] inline std::optional<std::chrono::steady_clock::time_point> deadline() noexcept {
  const detail::group_core* const g = detail::group_core::of_caller();
  if (g == nullptr || g->deadline() == detail::no_deadline) return std::nullopt;
  return std::chrono::steady_clock::time_point(std::chrono::nanoseconds(g->deadline()));
}

}  // namespace this_fiber
}  // namespace heddle
