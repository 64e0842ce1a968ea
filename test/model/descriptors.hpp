// SPDX-License-Identifier: BSL-1.0
//
// Shared by the tests of the poller: operations on descriptors of the played kernel, and whole runtimes that poll it.
#pragma once

#include <cerrno>
#include <cstddef>

#include "heddle/detail/polled.hpp"
#include "model/event_queue.hpp"
#include "runtimes.hpp"

namespace descriptors {

using namespace model::descriptors;
using heddle::detail::nanoseconds_t;
using heddle::detail::no_deadline;
using heddle::detail::poll_outcome;
using heddle::detail::poll_side;
using heddle::detail::polled;
using heddle::detail::wait_bounds;

inline constexpr nanoseconds_t ms = 1'000'000;

/// What an operation has come to: bytes, if `how` is ready.
struct outcome {
  poll_outcome how = poll_outcome::ready;
  std::ptrdiff_t bytes = 0;
};

inline outcome receive(const polled& d, int n, const wait_bounds& bounds = {}) {
  outcome o;
  o.bytes = heddle::detail::attempt_until_done(d, poll_side::read, bounds, static_cast<std::size_t>(n), o.how,
                                               [n](int fd) -> std::ptrdiff_t {
                                                 const int got = read(fd, n);
                                                 if (got >= 0) return got;
                                                 errno = got == would_block ? EAGAIN : ECONNRESET;
                                                 return -1;
                                               });
  return o;
}
inline outcome transmit(const polled& d, int n, const wait_bounds& bounds = {}) {
  outcome o;
  o.bytes = heddle::detail::attempt_until_done(d, poll_side::write, bounds, static_cast<std::size_t>(n), o.how,
                                               [n](int fd) -> std::ptrdiff_t {
                                                 const int put = write(fd, n);
                                                 if (put >= 0) return put;
                                                 errno = put == would_block ? EAGAIN : ECONNRESET;
                                                 return -1;
                                               });
  return o;
}
/// The same where nothing but bytes may come.
inline std::ptrdiff_t receive_some(const polled& d, int n) {
  const outcome o = receive(d, n);
  model::check(o.how == poll_outcome::ready && o.bytes >= 0, "a read has failed");
  return o.bytes;
}

/// Waits until it can be read, and takes nothing. What is known to be there is no reason to return.
inline poll_outcome await_input(const polled& d, const wait_bounds& bounds = {}) {
  polled::use now(d);
  if (!now) return poll_outcome::closed;
  const poll_outcome how = now.wait(poll_side::read, bounds);
  now.succeeded(poll_side::read);
  return how;
}

/// The scenario in a runtime; no descriptor is left after it.
template <class F>
auto in_runtime(unsigned procs, bool monitor, F f) {
  return [=] {
    heddle::run(f, runtimes::with(procs, monitor));
    runtimes::nothing_left();
    model::check(count() == 0, "a descriptor is left open");
  };
}
/// The same without a runtime: only plain threads.
inline auto on_threads(void (*f)()) {
  return [f] {
    f();
    model::check(count() == 0, "a descriptor is left open");
  };
}

inline void right(std::uint64_t executions, unsigned procs, bool monitor, void (*f)(), unsigned early_timeouts = 0) {
  model::options o = runtimes::by_chance_times(executions);
  o.early_timeouts = early_timeouts;
  model::expect_ok(o, in_runtime(procs, monitor, f));
}
inline void right_on_threads(std::uint64_t executions, void (*f)()) {
  model::options o = runtimes::by_chance_times(executions);
  o.early_timeouts = 0;
  model::expect_ok(o, on_threads(f));
}
inline void wrong(model::plant bug, unsigned procs, bool monitor, void (*f)(), const char* text = "",
                  bool same_again = true) {
  model::options o = runtimes::by_chance_times(2'000);
  o.same_again = same_again;
  o.early_timeouts = 0;
  o.planted = bug;
  model::expect_bug(o, in_runtime(procs, monitor, f), text);
}

}  // namespace descriptors
