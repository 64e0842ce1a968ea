// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <memory>
#include <optional>
#include <ranges>
#include <span>
#include <type_traits>
#include <utility>

#include "heddle/channel.hpp"
#include "heddle/detail/select_call.hpp"
#include "heddle/detail/selection.hpp"
#include "heddle/select_case.hpp"
#include "heddle/select_handlers.hpp"

namespace heddle {

/// Waits for one of several operations of channels, does it, and returns its index among the arguments. If several can
/// be done, each has the same chance. That holds too if one event makes several possible while the select waits: for
/// instance, several cases send to one channel, and one receiver comes to it. Blocks the calling fiber only.
///
///     heddle::run([] {
///       heddle::channel<int> jobs(1);
///       heddle::channel<std::string> log(8);
///       auto worker = heddle::spawn([&] { jobs.send(7); });
///
///       // With handlers: what is chosen is called.
///       heddle::select(heddle::on_receive(jobs, [](std::optional<int> job) { std::printf("job %d\n", job.value_or(0));
///       }),
///                      heddle::on_send(log, "idle", [] { std::puts("logged"); }),
///                      heddle::on_timeout(10ms, [] { std::puts("nothing for 10 ms"); }));
///
///       // With cases as objects, which outlive the call.
///       heddle::receive_case job{jobs};
///       heddle::send_case line{log, "idle"};
///       switch (heddle::select(job, line, heddle::otherwise())) {
///         case 0: std::printf("job %d\n", job.result().value_or(0)); break;   // nullopt: closed and drained
///         case 1: std::puts("logged"); break;
///         case 2: std::puts("neither can be done now"); break;
///       }
///       worker.join();
///     });
///
/// Arguments, in any order and mixed: receive_case and send_case; on_receive() and on_send(), the same with a handler;
/// and, at most one of each,
///     otherwise(f)                          chosen if nothing else can be done at once: Go's default
///     on_timeout(d, f), on_deadline(t, f)   chosen if nothing else could be done until then (either of the two)
///     on_stop(token, f)                     chosen if a stop of that std::stop_token is requested first
/// whose handlers may be left out. An operation that can be done at once is done even if a deadline has passed or a
/// stop has been requested.
///
/// As in Go: a closed channel can be received from at once; sending to one, or to one that is closed meanwhile, throws
/// channel_closed (the value stays in its case); a case without a channel (nullptr) is never ready; a channel may
/// stand in several cases, and a select does not meet itself; without any case select() blocks for ever.
/// Unlike Go's, the value that a send_case holds stays there if another case was chosen.
///
/// \throws channel_closed; what moving a value throws (as channel does: nothing is lost or comes twice); what the
///         handler throws.
/// Moves run under the locks of all channels: they must not block, nor use any of these channels.
/// Lifetime: the channel of the case chosen may be destroyed at once by who served it, unless it stands in other cases
/// too; the others when select() has returned.
/// Complexity: O(n log n) for n cases; allocates nothing. From fibers and plain threads.
/// Source: Go's select statement and its runtime/select.go.
template <class... Cases>
requires(detail::select_argument<std::remove_cvref_t<Cases>>&&...) std::size_t select(Cases&&... cases) {
  return detail::select_call<std::remove_reference_t<Cases>...>::run(std::index_sequence_for<Cases...>(), cases...);
}

namespace detail {

/// The case that is an element of a range, or to which the element points.
template <class Case>
requires std::is_convertible_v<Case*, select_case*> select_case* case_of(Case& c) noexcept { return std::addressof(c); }
template <class Pointer>
requires requires(const Pointer& p) {
  { p ? std::addressof(*p) : nullptr } -> std::convertible_to<select_case*>;
}
select_case* case_of(const Pointer& p) noexcept { return p ? std::addressof(*p) : nullptr; }

/// Ranges of cases, or of pointers to cases.
template <class R>
concept case_range = std::ranges::forward_range<R> && std::ranges::sized_range<R> &&
    requires(std::ranges::range_reference_t<R> c) {
  case_of(c);
};

/// select() over cases that are known at run time only. Calls what(selection) with those of `cases`.
template <class Cases>
void add_all(selection& all, Cases& cases) {
  std::size_t i = 0;
  for (auto&& c : cases) all.add(case_of(c), i++);
}
template <class Cases, class What>
auto with_few(Cases& cases, What what) {
  select_case* order[few_cases];
  selection all(order);
  add_all(all, cases);
  all.arrange();
  return what(all);
}
template <class Cases, class What>
[[gnu::noinline]] auto with_many(Cases& cases, What what) {
  const auto order = std::make_unique<select_case*[]>(static_cast<std::size_t>(std::ranges::size(cases)));
  selection all(order.get());
  add_all(all, cases);
  std::sort(all.begin(), all.end(), selection::before);
  return what(all);
}
template <class Cases, class What>
auto with_selection(Cases& cases, What what) {
  return static_cast<std::size_t>(std::ranges::size(cases)) <= few_cases ? with_few(cases, what)
                                                                         : with_many(cases, what);
}

template <class Cases>
std::size_t select_of(Cases& cases) {
  return with_selection(cases, [](selection& all) { return all.index_of(all.wait(attempt_through)); });
}
template <class Cases>
std::optional<std::size_t> try_select_of(Cases& cases) {
  return with_selection(cases, [](selection& all) {
    const select_case* const chosen = all.poll(attempt_through);
    return chosen != nullptr ? std::optional(all.index_of(*chosen)) : std::nullopt;
  });
}
/// Waits within bounds, which `within()` makes when there is something to wait for. nullopt: `how` says why.
template <class Cases, class Within>
std::optional<std::size_t> select_within(Cases& cases, wait_state& how, Within within) {
  return with_selection(cases, [&](selection& all) {
    select_case* chosen = all.poll(attempt_through);
    if (chosen == nullptr) {
      const wait_bounds bounds = within();
      how = how_over(bounds);
      if (how == wait_state::open) chosen = all.wait(attempt_through, bounds, how);
    }
    return chosen != nullptr ? std::optional(selection::index_of(*chosen)) : std::nullopt;
  });
}
template <class Cases>
std::optional<std::size_t> select_until_stop(Cases& cases, const stop_token& stop) {
  wait_state how;
  return select_within(cases, how, [&] { return wait_bounds{.stop = &stop}; });
}
template <class Cases, class Duration>
std::optional<std::size_t> select_for(Cases& cases, Duration d, const stop_token& stop) {
  wait_state how;
  return select_within(cases, how, [&] { return wait_bounds{deadline_after(d), &stop}; });
}
template <class Cases, class Time>
std::optional<std::size_t> select_until(Cases& cases, Time t, const stop_token& stop) {
  std::optional<std::size_t> chosen;
  attempt_until(t, [&](nanoseconds_t deadline) {
    wait_state how;
    chosen = select_within(cases, how, [&] { return wait_bounds{deadline, &stop}; });
    return chosen || how == wait_state::stopped;
  });
  return chosen;
}

}  // namespace detail

/// The same over cases that are known at run time only, each at most once; null pointers stand for cases that are never
/// ready. Returns the index in `cases`: a range of cases, or of pointers (raw or smart) to cases of any kind.
///
///     std::vector<heddle::receive_case<int>> from(channels.begin(), channels.end());
///     const std::size_t i = heddle::select(from);
///     use(from[i].result());                                   // nullopt: that channel is closed and drained
///
///     std::vector<heddle::select_case*> mixed{&from[0], &to_log};
///     const std::size_t j = heddle::select(mixed);
///
/// Allocates nothing for up to eight cases, and one array for more of them (std::bad_alloc). Without any case select()
/// blocks for ever. Source: Go's reflect.Select.
template <detail::case_range Cases>
std::size_t select(Cases&& cases) {
  return detail::select_of(cases);
}
inline std::size_t select(std::span<select_case* const> cases) { return detail::select_of(cases); }

/// The same without blocking: nullopt if none could be done.
template <detail::case_range Cases>
[[nodiscard]] std::optional<std::size_t> try_select(Cases&& cases) {
  return detail::try_select_of(cases);
}
[[nodiscard]] inline std::optional<std::size_t> try_select(std::span<select_case* const> cases) {
  return detail::try_select_of(cases);
}

/// The same, but waits no longer than until a stop is requested (of a std::stop_token), `d` has passed, or `t` of any
/// clock has been reached: nullopt then.
template <detail::case_range Cases>
[[nodiscard]] std::optional<std::size_t> select(Cases&& cases, const detail::stop_token& stop) {
  return detail::select_until_stop(cases, stop);
}
[[nodiscard]] inline std::optional<std::size_t> select(std::span<select_case* const> cases,
                                                       const detail::stop_token& stop) {
  return detail::select_until_stop(cases, stop);
}
template <detail::case_range Cases, class Rep, class Period>
[[nodiscard]] std::optional<std::size_t> select_for(Cases&& cases, std::chrono::duration<Rep, Period> d,
                                                    const detail::stop_token& stop = {}) {
  return detail::select_for(cases, d, stop);
}
template <class Rep, class Period>
[[nodiscard]] std::optional<std::size_t> select_for(std::span<select_case* const> cases,
                                                    std::chrono::duration<Rep, Period> d,
                                                    const detail::stop_token& stop = {}) {
  return detail::select_for(cases, d, stop);
}
template <detail::case_range Cases, class Clock, class Duration>
[[nodiscard]] std::optional<std::size_t> select_until(Cases&& cases, std::chrono::time_point<Clock, Duration> t,
                                                      const detail::stop_token& stop = {}) {
  return detail::select_until(cases, t, stop);
}
template <class Clock, class Duration>
[[nodiscard]] std::optional<std::size_t> select_until(std::span<select_case* const> cases,
                                                      std::chrono::time_point<Clock, Duration> t,
                                                      const detail::stop_token& stop = {}) {
  return detail::select_until(cases, t, stop);
}

}  // namespace heddle
