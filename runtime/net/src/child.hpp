// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <system_error>

#include "heddle/detail/thread_mutex.hpp"
#include "heddle/io/process.hpp"
#include "outcome.hpp"

namespace heddle::io::detail {

/// A child process: its pidfd, which becomes readable when it has ended, and what is known of its end.
struct child {
  explicit child(std::string what) : name(std::move(what)) {}
  /// Leaves a child that has not been awaited to the reaper.
  ~child();
  child(const child&) = delete;
  child& operator=(const child&) = delete;

  /// Takes the status if it has ended: 1. Else -1 with EAGAIN, or ECHILD if somebody else has taken it. Never waits.
  int look(int pidfd) noexcept;
  /// Whether it has been awaited; then `status` and `lost` say how that went.
  bool is_over() noexcept;

  const std::string name;
  pid_t id = 0;
  polled end;
  heddle::detail::thread_mutex lock{heddle::detail::lock_rank::registry};
  bool over HEDDLE_GUARDED_BY(lock) = false;
  exit_status status HEDDLE_GUARDED_BY(lock);
  std::error_code lost HEDDLE_GUARDED_BY(lock);  ///< nobody knows how it has ended
};

/// Takes a pidfd, and the process's status when it has ended, so that it is no zombie then; a thread waits for it,
/// which ends with the last such child. At once if it has ended already.
void leave_to_reaper(int pidfd) noexcept;

}  // namespace heddle::io::detail
