// SPDX-License-Identifier: BSL-1.0
//
// A file descriptor whose waits suspend fibers: what heddle::net and heddle::io build on.
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "heddle/detail/bounded_wait.hpp"

namespace heddle::detail {

class poll_slot;

enum class poll_side : std::uint8_t { read, write };

enum class poll_outcome : std::uint8_t {
  ready,      ///< an attempt may succeed now
  timed_out,  ///< the deadline of the operation, or of the descriptor and side, has passed
  stopped,    ///< a stop was requested
  closed,     ///< somebody has closed the descriptor
  failed,     ///< the kernel does not report events of this descriptor: errno tells why
};

/// Owns a file descriptor and knows, from the kernel's events, whether an attempt to read or write makes sense. The
/// descriptor is in non-blocking mode, unless its owner makes attempts in another way that never blocks.
///
/// 1. Any number of fibers and threads may work on it at the same time, and another may close it: each operation holds
///    it by a `use`, and the descriptor is closed when the last of them is over. So its number is never another file's
///    while somebody uses it.
/// 2. One that finds nothing says so (drained, blocked), and the next attempt waits for an event first. Without that
///    each read would be followed by one more that fails: a third system call for each request.
/// 3. A plain thread, or a fiber that is pinned to its thread, waits on its own thread.
class HEDDLE_EXPORT polled {
 public:
  polled() noexcept = default;
  /// Takes fd. Throws std::bad_alloc if there is no memory to note it; fd is closed then.
  explicit polled(int fd);
  polled(polled&& other) noexcept
      : slot_(std::exchange(other.slot_, nullptr)), generation_(std::exchange(other.generation_, 0)) {}
  polled& operator=(polled&& other) noexcept {
    if (this == &other) return *this;
    close();
    slot_ = std::exchange(other.slot_, nullptr);
    generation_ = std::exchange(other.generation_, 0);
    return *this;
  }
  polled(const polled&) = delete;
  polled& operator=(const polled&) = delete;
  ~polled() { close(); }

  /// Whether it has a descriptor that nobody has closed.
  bool is_open() const noexcept;
  /// The number, or -1 if it is closed. The caller sees to it that nobody closes it meanwhile.
  int descriptor() const noexcept;
  /// Wakes all that wait on it, with `closed`, and closes the descriptor; returns when it has been closed, that is,
  /// when the last operation is over, whoever of several closes it. Any number of times, from anywhere; not within an
  /// operation of the caller.
  void close() noexcept;
  /// Gives the descriptor away, out of the poller; the same otherwise. -1 if it was closed.
  int release() noexcept;
  /// From now on waits of this side end when `deadline` has passed, those that have begun included; no_deadline: never.
  /// Costs no timer unless somebody waits.
  void set_deadline(poll_side side, nanoseconds_t deadline) noexcept;

  class use;

 private:
  int end(bool keep) noexcept;

  poll_slot* slot_ = nullptr;
  std::uint32_t generation_ = 0;
};

/// One operation on a polled: while it lives, the descriptor stays open. The path of an operation:
///
///     for (polled::use now(d); now;) {
///       if (const auto seen = now.readiness(side)) {
///         n = ::recv(now.descriptor(), ...);
///         if (n < 0 && errno_here() == EAGAIN) now.blocked(side, seen);    // nothing there
///         else { if (n is short) now.drained(side, seen); else now.succeeded(side); break; }
///       } else if (outcome = now.wait(side, bounds); outcome != ready) break;
///     }
class HEDDLE_EXPORT polled::use {
 public:
  explicit use(const polled& d) noexcept;
  ~use();
  use(const use&) = delete;
  use& operator=(const use&) = delete;

  /// False: it is closed.
  explicit operator bool() const noexcept { return slot_ != nullptr; }
  int descriptor() const noexcept;
  /// 0 if an attempt is bound to find nothing; else what to tell drained() or blocked().
  std::uint32_t readiness(poll_side side) const noexcept;
  /// The attempt did all that was asked: there may be more, for others that wait.
  void succeeded(poll_side side) noexcept;
  /// It did less than was asked: there is nothing more, unless an event has come since.
  void drained(poll_side side, std::uint32_t seen) noexcept;
  /// It failed with EAGAIN.
  void blocked(poll_side side, std::uint32_t seen) noexcept;
  /// Waits until an attempt makes sense. Suspends the fiber; blocks a plain thread.
  poll_outcome wait(poll_side side, const wait_bounds& bounds) noexcept;

 private:
  friend class polled;
  poll_slot* slot_ = nullptr;
};

/// errno of the kernel thread on which the caller is now. Never inlined: compilers keep the address of errno over
/// calls, and after a wait the fiber may be on another thread.
HEDDLE_EXPORT int errno_here() noexcept;
HEDDLE_EXPORT void set_errno_here(int error) noexcept;

/// Runs attempt(descriptor) -> ssize_t until it does not fail with EAGAIN or EINTR, waiting in between; returns what it
/// returned last. `asked`: a result of fewer means that nothing more is there; 0 if a result tells nothing of that.
/// outcome: ready, or why it did not come to an end (the result is -1 then).
template <class F>
std::ptrdiff_t attempt_until_done(const polled& d, poll_side side, const wait_bounds& bounds, std::size_t asked,
                                  poll_outcome& outcome, F attempt) noexcept {
  polled::use now(d);
  if (!now) {
    outcome = poll_outcome::closed;
    return -1;
  }
  for (;;) {
    const std::uint32_t seen = now.readiness(side);
    if (seen == 0) {
      outcome = now.wait(side, bounds);
      if (outcome != poll_outcome::ready) return -1;
      continue;
    }
    const std::ptrdiff_t n = attempt(now.descriptor());
    const int error = n < 0 ? errno_here() : 0;
    if (error == EINTR) continue;
    if (error == EAGAIN) {
      now.blocked(side, seen);
      continue;
    }
    outcome = poll_outcome::ready;
    if (n > 0 && static_cast<std::size_t>(n) < asked)
      now.drained(side, seen);
    else
      now.succeeded(side);
    return n;
  }
}

}  // namespace heddle::detail
