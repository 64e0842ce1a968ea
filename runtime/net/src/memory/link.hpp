// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <span>
#include <system_error>

#include "heddle/condition_variable.hpp"
#include "heddle/mutex.hpp"
#include "heddle/net/endpoint.hpp"
#include "memory/pipe.hpp"

namespace heddle::net::detail {

using heddle::detail::wait_bounds;

/// Waits until ready(next) says so; `next` is when it will be so without anybody's doing, if it sets it. What changes
/// the answer otherwise notifies `changed`, under the lock. `deadline` may be moved meanwhile in the same way.
template <class Ready>
std::error_code await(std::unique_lock<mutex>& hold, condition_variable& changed, const wait_bounds& bounds,
                      const nanoseconds_t& deadline, Ready ready) {
  for (;;) {
    nanoseconds_t next = no_deadline;
    if (ready(next)) return {};
    if (bounds.stop != nullptr && bounds.stop->stop_requested())
      return std::make_error_code(std::errc::operation_canceled);
    const nanoseconds_t until = std::min(bounds.deadline, deadline);
    if (until != no_deadline && heddle::detail::monotonic_now() >= until)
      return std::make_error_code(std::errc::timed_out);
    changed.wait_within(hold, {std::min(until, next), bounds.stop});
  }
}

/// For a destructor whose object was owned by several: what the others have done under the lock has happened. The count
/// of owners says so too, but the explorer does not see that.
inline void come_last(mutex& lock) noexcept {
  lock.lock();
  lock.unlock();
}

/// The two ends of a connection.
enum class side : std::uint8_t { client, server };
constexpr side peer_of(side s) noexcept { return s == side::client ? side::server : side::client; }

/// A connection of a memory_network: a pipe each way, and what has become of its ends.
///
/// 1. All of it is under lock_. A thread that changes what a wait waits for notifies that wait's condition variable.
/// 2. It has a clock of its own, which stands still while the network is divided: what is under way then comes later by
///    as much.
/// 3. A reset is reported once, as the kernel does it, by whichever operation comes first; after it reads find the end,
///    and writes a broken pipe.
class link {
 public:
  link(const memory_options& o, std::uint64_t seed, const endpoint& client, const endpoint& server, bool divided);
  ~link() { come_last(lock_); }

  /// --- making the connection: by connect() and accept()
  /// Waits, for the client, until the connection is made.
  std::error_code await_made(const wait_bounds& bounds, nanoseconds_t deadline);
  /// Waits until a request has gone to a machine that refuses it, and back.
  std::error_code await_refused(const wait_bounds& bounds, nanoseconds_t deadline);
  /// Whether the client's request has reached the listener; when it will have: no_deadline while that is not known.
  bool request_arrived(nanoseconds_t& when) noexcept;
  bool given_up() noexcept;

  /// --- operations of the end s
  std::size_t read_some(side s, std::span<const iovec> to, const wait_bounds& bounds, std::error_code& ec) noexcept;
  std::size_t write_some(side s, std::span<const iovec> from, const wait_bounds& bounds, std::error_code& ec) noexcept;
  std::error_code await_readable(side s, const wait_bounds& bounds) noexcept;
  std::error_code await_writable(side s, const wait_bounds& bounds) noexcept;
  void set_read_deadline(side s, nanoseconds_t t) noexcept;
  void set_write_deadline(side s, nanoseconds_t t) noexcept;
  std::error_code shut_write(side s) noexcept;
  std::error_code shut_read(side s) noexcept;
  std::error_code reset_on_close(side s) noexcept;
  void close(side s) noexcept;
  bool is_open(side s) noexcept;

  const endpoint& address(side s) const noexcept { return at(s).address; }

  /// --- faults
  void divide() noexcept;
  void heal() noexcept;
  /// Breaks it for both ends now.
  void reset() noexcept;
  /// The listener that it waited at is gone.
  void refuse() noexcept;

 private:
  struct end_state {
    end_state(const memory_options& o, std::uint64_t seed, const endpoint& a) : incoming(o, seed), address(a) {}
    pipe incoming;  // what comes to this end
    condition_variable readable, writable;
    nanoseconds_t read_deadline = no_deadline, write_deadline = no_deadline;  // of the real clock
    nanoseconds_t reset_at = no_deadline;                                     // when a reset reaches it
    bool reset_told = false, closed = false, read_shut = false, write_shut = false, resets_on_close = false;
    const endpoint address;
  };

  end_state& at(side s) noexcept { return ends_[static_cast<std::size_t>(s)]; }
  const end_state& at(side s) const noexcept { return ends_[static_cast<std::size_t>(s)]; }
  nanoseconds_t now() const noexcept;
  /// When what is sent now sets out: not while the clock stands, however short the way.
  nanoseconds_t departure() const noexcept;
  /// The real time at which its clock will be t.
  nanoseconds_t real(nanoseconds_t t) const noexcept;
  static void notify(end_state& e) noexcept;
  bool is_reset(const end_state& e) const noexcept { return e.reset_at <= now(); }
  static std::error_code tell_reset(end_state& e, std::error_code after) noexcept;
  bool can_read(end_state& e, nanoseconds_t& next) noexcept;
  bool can_write(side s, nanoseconds_t& next) noexcept;
  std::size_t send(side s, std::span<const iovec> from) noexcept;
  void send_reset(side to, nanoseconds_t when) noexcept;
  void break_after(std::size_t bytes) noexcept;

  mutex lock_;
  std::array<end_state, 2> ends_;
  nanoseconds_t request_at_ = 0;  // when the client's request reaches the listener,
  nanoseconds_t answer_at_ = 0;   // and when the answer is back
  bool refused_ = false;
  bool given_up_ = false;  // by the client, before it was made
  bool divided_ = false;
  nanoseconds_t stands_at_ = 0;  // of its clock, while divided
  nanoseconds_t stood_ = 0;      // how much it is behind the real clock
  std::uint64_t left_;           // bytes until it breaks
};

}  // namespace heddle::net::detail
