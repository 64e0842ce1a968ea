// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <functional>
#include <type_traits>
#include <utility>

#include "heddle/detail/config.hpp"
#include "heddle/detail/platform.hpp"
#include "heddle/detail/wait.hpp"

namespace heddle {
namespace detail {
struct once_waits;
}

/// What call_once() has done already. constexpr, so a global one is ready before any code runs.
///
/// Invariants:
/// 1. The word is `never`, `done`, or the list of those who wait for the call that runs (`running` at its end). The
///    list only grows, by compare-exchange, until the runner takes all of it in the step that ends its call.
/// 2. That step is the runner's last touch. A waiter joins the list when it is off its stack.
/// 3. `runner_` is the caller that runs while one does; only that one's own view of it is relied on.
///
/// Source: Rust's std::sync::Once (the list of waiters in the state word).
class once_flag {
 public:
  constexpr once_flag() noexcept = default;
  once_flag(const once_flag&) = delete;
  once_flag& operator=(const once_flag&) = delete;
  /// Nobody may be inside call_once() then, but for one whose call another has seen to be done.
  ~once_flag() {
    const std::uintptr_t word = word_.load(std::memory_order_relaxed);
    if (word != never && word != done) [[unlikely]]
      destroyed_in_use();
  }

 private:
  template <class F, class... A>
  friend void call_once(once_flag& flag, F&& f, A&&... args);

  /// The word; anything else is the waiter that came last.
  enum : std::uintptr_t {
    never = 0,    ///< No call has been made, or they have all thrown.
    done = 1,     ///< A call has returned. For ever.
    running = 2,  ///< A call is being made, and nobody waits for it.
  };

  bool is_done() const noexcept {
    // acquire: so that what the call did is seen; release half in end().
    return word_.load(std::memory_order_acquire) == done;
  }
  struct arrival;
  friend struct detail::once_waits;  // for reports
  HEDDLE_EXPORT bool begin() noexcept;
  HEDDLE_EXPORT void end(bool returned) noexcept;
  static void join_list(void* arriving);
  [[noreturn]] void recursion() const noexcept;
  HEDDLE_EXPORT void destroyed_in_use() const noexcept;

  detail::atomic<std::uintptr_t> word_{never};
  detail::atomic<const void*> runner_{nullptr};
};

/// Calls f(args...) unless a call with the same flag has returned before. Those who come while it runs wait for it,
/// and only their fibers are blocked. What the call did is seen by all who return.
///
///     heddle::once_flag once;
///     std::optional<index> words;
///     const index& the_index() {
///       heddle::call_once(once, [] { words.emplace(load("words")); });
///       return *words;
///     }
///
/// If f throws, the caller gets the exception, and one of those who wait, or the next to come, calls its own f. Unlike
/// with std::call_once a call from inside f with the same flag, which could never end, ends the process with a message.
///
/// Once a call has returned: one load. O(1) plus the wait, no allocation. From fibers and plain threads.
template <class F, class... A>
void call_once(once_flag& flag, F&& f, A&&... args) {
  static_assert(std::is_invocable_v<F, A...>);
  if (flag.is_done()) [[likely]]
    return;
  if (!flag.begin()) return;
  struct ending {
    once_flag& flag;
    bool returned = false;
    ~ending() { flag.end(returned); }
  } at_end{flag};
  std::invoke(std::forward<F>(f), std::forward<A>(args)...);
  at_end.returned = true;
}

}  // namespace heddle
