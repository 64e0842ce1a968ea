// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <system_error>

#include "heddle/io/limits.hpp"
#include "heddle/mutex.hpp"

namespace heddle::net::tls::detail {

/// A turn at something that one fiber does at a time; others wait for it within their limits.
class turn {
 public:
  /// Sets ec if the limits ended the wait, and leaves it as it is otherwise.
  turn(timed_mutex& m, const io::limits& l, std::error_code& ec) noexcept : mutex_(&m) {
    const heddle::detail::wait_bounds& bounds = l.bounds();
    if (m.try_lock_within(bounds)) return;
    mutex_ = nullptr;
    const bool stopped = bounds.stop != nullptr && bounds.stop->stop_requested();
    ec = std::make_error_code(stopped ? std::errc::operation_canceled : std::errc::timed_out);
  }
  turn(const turn&) = delete;
  turn& operator=(const turn&) = delete;
  ~turn() {
    if (mutex_ != nullptr) mutex_->unlock();
  }
  /// Somebody else will unlock it.
  void dismiss() noexcept { mutex_ = nullptr; }

 private:
  timed_mutex* mutex_;
};

}  // namespace heddle::net::tls::detail
