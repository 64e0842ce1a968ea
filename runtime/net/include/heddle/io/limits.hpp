// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>

#include "heddle/detail/bounded_wait.hpp"
#include "heddle/detail/deadline.hpp"

namespace heddle::io {

namespace detail {
using namespace heddle::detail;
}

/// How long one operation may wait: a duration from now on, a time, a stop request, or a time and a stop request. Every
/// operation of heddle::io and heddle::net takes one as its last argument; without, it waits as long as it takes.
///
/// \code
/// stream.read_some(buffer, 5s);
/// stream.read_some(buffer, {deadline, stop});
/// \endcode
///
/// A limit ends a wait. What can be done at once is done, even if the time has passed. It ends with the error
/// std::errc::timed_out or std::errc::operation_canceled, and the descriptor stays as it is. It is made for the call
/// that it is given to: a stop token (a std::stop_token) must outlive it. A time of another clock than the steady one
/// counts as that clock goes when the limits are made.
class limits {
 public:
  limits() noexcept = default;
  template <class Rep, class Period>
  limits(const std::chrono::duration<Rep, Period>& d) noexcept  // NOLINT(google-explicit-constructor)
      : bounds_{detail::deadline_after(d), nullptr} {}
  template <class Clock, class Duration>
  limits(const std::chrono::time_point<Clock, Duration>& t) noexcept  // NOLINT(google-explicit-constructor)
      : bounds_{detail::deadline_at(t).deadline, nullptr} {}
  limits(const detail::stop_token& stop) noexcept  // NOLINT(google-explicit-constructor)
      : bounds_{detail::no_deadline, &stop} {}
  template <class Time>
  limits(const Time& t, const detail::stop_token& stop) noexcept : limits(t) {
    bounds_.stop = &stop;
  }

  const detail::wait_bounds& bounds() const noexcept { return bounds_; }

 private:
  detail::wait_bounds bounds_;
};

}  // namespace heddle::io
