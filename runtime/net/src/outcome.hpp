// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <system_error>

#include "heddle/detail/polled.hpp"
#include "heddle/io/error.hpp"

namespace heddle::io::detail {
using heddle::detail::attempt_until_done;
using heddle::detail::poll_outcome;
using heddle::detail::poll_side;
using heddle::detail::polled;
using heddle::detail::wait_bounds;

inline std::error_code last_error() noexcept { return {heddle::detail::errno_here(), std::system_category()}; }

/// How an operation has ended whose last attempt returned n; errno is the attempt's.
inline std::error_code error_of(poll_outcome outcome, std::ptrdiff_t n) noexcept {
  switch (outcome) {
    case poll_outcome::ready: return n < 0 ? last_error() : std::error_code();
    case poll_outcome::timed_out: return std::make_error_code(std::errc::timed_out);
    case poll_outcome::stopped: return std::make_error_code(std::errc::operation_canceled);
    case poll_outcome::closed: return errc::closed;
    case poll_outcome::failed: break;
  }
  return last_error();
}

/// attempt_until_done(), whose error goes to ec; returns 0 then.
template <class F>
std::size_t perform(const polled& d, poll_side side, const wait_bounds& bounds, std::size_t asked, std::error_code& ec,
                    F attempt) noexcept {
  poll_outcome outcome = poll_outcome::ready;
  const std::ptrdiff_t n = attempt_until_done(d, side, bounds, asked, outcome, attempt);
  ec = error_of(outcome, n);
  return n < 0 || ec ? 0 : static_cast<std::size_t>(n);
}

}  // namespace heddle::io::detail
