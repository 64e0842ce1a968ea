// SPDX-License-Identifier: BSL-1.0
//
// How select() treats its arguments.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <type_traits>
#include <utility>

#include "heddle/detail/selection.hpp"
#include "heddle/select_handlers.hpp"

namespace heddle::detail {

// What an argument is.
template <class A>
inline constexpr bool is_channel_case = std::is_base_of_v<select_case, A>;
template <class A>
inline constexpr bool is_otherwise = false;
template <class F>
inline constexpr bool is_otherwise<otherwise_handler<F>> = true;
template <class A>
inline constexpr bool is_deadline = false;
template <class D, class F>
inline constexpr bool is_deadline<timeout_handler<D, F>> = true;
template <class C, class D, class F>
inline constexpr bool is_deadline<deadline_handler<C, D, F>> = true;
template <class A>
inline constexpr bool is_stop = false;
template <class F>
inline constexpr bool is_stop<stop_handler<F>> = true;

template <class A>
concept select_argument = is_channel_case<A> || is_otherwise<A> || is_deadline<A> || is_stop<A>;

// What is done to each argument, if that is such a thing.
template <class A>
void add_to(selection& all, A& argument, std::size_t i) noexcept {
  if constexpr (is_channel_case<A>) all.add(&argument, i);
}
template <class A>
bool attempt_at(A& argument, select_lock& lock) {
  if constexpr (is_channel_case<A>)
    return selection::attempt_typed(argument, lock);
  else
    return false;
}
template <class A>
void add_bound(wait_bounds& bounds, A& argument) {
  if constexpr (is_deadline<A>) bounds.deadline = argument.deadline();
  if constexpr (is_stop<A>) bounds.stop = &argument.stop;
}
template <class A>
bool not_passed(const A& argument) {
  if constexpr (is_deadline<A>)
    return !argument.passed();
  else
    return false;
}
template <class A>
void call_handler_of(A& argument) {
  if constexpr (requires { argument.chosen(); }) argument.chosen();
}

/// open: the bounds leave time to wait.
inline wait_state how_over(const wait_bounds& bounds) noexcept {
  if (!over(bounds)) return wait_state::open;
  return bounds.stop != nullptr && bounds.stop->stop_requested() ? wait_state::stopped : wait_state::timed_out;
}

/// select() over arguments of the types `Cases`.
template <class... Cases>
class select_call {
  static constexpr std::size_t channels = (std::size_t{is_channel_case<Cases>} + ... + 0);
  static constexpr bool waits = !(is_otherwise<Cases> || ...);
  static constexpr bool has_bounds = (is_deadline<Cases> || ...) || (is_stop<Cases> || ...);
  static_assert((std::size_t{is_otherwise<Cases>} + ... + 0) <= 1, "one otherwise() is enough");
  static_assert((std::size_t{is_stop<Cases>} + ... + 0) <= 1, "one on_stop() is enough");
  static_assert((std::size_t{is_deadline<Cases>} + ... + 0) <= 1,
                "one on_timeout() or on_deadline() is enough: that which comes first");
  static_assert(waits || !has_bounds, "a select with otherwise() never waits");

 public:
  template <std::size_t... I>
  static std::size_t run(std::index_sequence<I...>, Cases&... cases) {
    select_case* order[channels + 1];
    selection all(order);
    (add_to(all, cases, I), ...);
    all.arrange();
    const auto attempt = [&](select_case& c, select_lock& lock) {
      bool done = false;
      (void)((selection::index_of(c) == I && (done = attempt_at(cases, lock), true)) || ...);
      return done;
    };
    const std::size_t chosen = choose(all, attempt, cases...);
    (void)((chosen == I && (call_handler_of(cases), true)) || ...);
    return chosen;
  }

 private:
  template <class Attempt>
  static std::size_t choose(selection& all, const Attempt& attempt, Cases&... cases) {
    if constexpr (waits && !has_bounds) {
      return selection::index_of(all.wait(attempt));
    } else {
      if (const select_case* const chosen = all.poll(attempt)) return selection::index_of(*chosen);
      if constexpr (waits)
        return choose_within(all, attempt, cases...);
      else
        return position({is_otherwise<Cases>...});
    }
  }

  template <class Attempt>
  static std::size_t choose_within(selection& all, const Attempt& attempt, Cases&... cases) {
    for (bool again = false;; again = true) {
      wait_bounds bounds;
      (add_bound(bounds, cases), ...);
      if (again) bounds.deadline = not_at_once(bounds.deadline);  // so the channels are looked at each time
      wait_state how = how_over(bounds);
      if (how == wait_state::open)
        if (const select_case* const chosen = all.wait(attempt, bounds, how)) return selection::index_of(*chosen);
      if (how == wait_state::stopped) return position({is_stop<Cases>...});
      if (!(not_passed(cases) || ...)) return position({is_deadline<Cases>...});
    }
  }

  /// Where the one that is such a thing stands.
  static constexpr std::size_t position(std::initializer_list<bool> is) noexcept {
    std::size_t i = 0;
    for (const bool found : is) {
      if (found) break;
      ++i;
    }
    return i;
  }
};

/// Up to so many cases known at run time only, select() allocates nothing.
inline constexpr std::size_t few_cases = 8;

/// Apart, since calls through pointers make functions compiled for segmented stacks ask for a large one, which a select
/// that blocks would keep.
[[gnu::noinline]] inline bool attempt_through(select_case& c, select_lock& lock) {
  return selection::attempt_of(c, lock);
}

}  // namespace heddle::detail
