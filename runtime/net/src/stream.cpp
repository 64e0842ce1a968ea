// SPDX-License-Identifier: BSL-1.0
//
// Entries that a fiber waits in, maybe for hours, on a small stack: each looks for the room that it needs (room.hpp).
#include "heddle/io/stream.hpp"

#include <algorithm>
#include <array>
#include <climits>
#include <mutex>

#include "attempts.hpp"
#include "heddle/detail/room.hpp"
#include "heddle/detail/trusted.hpp"
#include "outcome.hpp"

namespace heddle::io {
namespace {

using detail::foreign_room;
using detail::waiting_room;
using detail::with_room;

/// Attempts at sockets are system calls and nothing else.
std::size_t room_for(detail::access_kind kind) noexcept {
  return kind == detail::access_kind::socket ? waiting_room : foreign_room;
}

std::size_t bytes_of(const iovec* parts, std::size_t n) noexcept {
  std::size_t sum = 0;
  for (std::size_t i = 0; i != n; ++i) sum += parts[i].iov_len;
  return sum;
}

/// Takes `done` bytes off the front of the parts.
void advance(iovec*& parts, std::size_t& n, std::size_t done) noexcept {
  while (n != 0 && done >= parts->iov_len) {
    done -= parts->iov_len;
    ++parts;
    --n;
  }
  if (n == 0) return;
  parts->iov_base = static_cast<char*>(parts->iov_base) + done;
  parts->iov_len -= done;
}

constexpr std::size_t most_parts = IOV_MAX;

/// The number that a result is compared with, to see whether it is short. Nobody can wait for more of a file.
std::size_t asked(detail::access_kind kind, std::size_t n) noexcept {
  return kind == detail::access_kind::unwaitable ? 0 : n;
}

}  // namespace

namespace detail {
stream_core::~stream_core() = default;

void core_end::operator()(stream_core* core) const noexcept {
  with_room(foreign_room, [core] { delete core; });
}
}  // namespace detail

void stream::check(const std::error_code& ec, const char* operation) const {
  if (ec) [[unlikely]]
    with_room(foreign_room, [&] { throw error(ec, std::string(operation) + " " + name()); });
}

// --- reading --------------------------------------------------------------------------------------------------------

/// The caller has made the room.
std::size_t stream::read_part(std::span<std::byte> to, const detail::wait_bounds& bounds,
                              std::error_code& ec) noexcept {
  const detail::access_kind kind = core_->kind;
  return detail::perform(core_->descriptor, detail::poll_side::read, bounds, asked(kind, to.size()), ec,
                         [&](int fd) { return detail::read_once(kind, fd, to.data(), to.size()); });
}

std::size_t stream::read_some(std::span<std::byte> to, const limits& l, std::error_code& ec) noexcept {
  ec = errc::closed;
  if (core_ == nullptr) return 0;
  return with_room(room_for(core_->kind), [&] { return read_part(to, l.bounds(), ec); });
}

std::size_t stream::read_some(std::span<std::byte> to, const limits& l) {
  std::error_code ec;
  const std::size_t n = read_some(to, l, ec);
  check(ec, "read from");
  return n;
}

std::size_t stream::read_some(std::span<const iovec> to, const limits& l, std::error_code& ec) noexcept {
  ec = errc::closed;
  if (core_ == nullptr) return 0;
  const std::size_t parts = std::min(to.size(), most_parts);
  const detail::access_kind kind = core_->kind;
  return with_room(room_for(kind), [&] {
    return detail::perform(core_->descriptor, detail::poll_side::read, l.bounds(),
                           asked(kind, bytes_of(to.data(), parts)), ec,
                           [&](int fd) { return detail::read_once(kind, fd, to.data(), parts); });
  });
}

std::size_t stream::read_some(std::span<const iovec> to, const limits& l) {
  std::error_code ec;
  const std::size_t n = read_some(to, l, ec);
  check(ec, "read from");
  return n;
}

/// The caller has made the room.
std::size_t stream::read_all(std::span<std::byte> to, const detail::wait_bounds& bounds, std::error_code& ec) noexcept {
  std::size_t done = 0;
  ec.clear();
  while (done != to.size()) {
    const std::size_t n = read_part(to.subspan(done), bounds, ec);
    if (ec) break;
    if (n == 0) {
      ec = errc::end_of_stream;
      break;
    }
    done += n;
  }
  return done;
}

std::size_t stream::read(std::span<std::byte> to, const limits& l, std::error_code& ec) noexcept {
  ec = errc::closed;
  if (core_ == nullptr) return 0;
  return with_room(room_for(core_->kind), [&] { return read_all(to, l.bounds(), ec); });
}

std::size_t stream::read(std::span<std::byte> to, const limits& l) {
  std::error_code ec;
  const std::size_t n = read(to, l, ec);
  check(ec, "read from");
  return n;
}

// --- writing --------------------------------------------------------------------------------------------------------

std::size_t stream::write_some(std::span<const std::byte> from, const limits& l, std::error_code& ec) noexcept {
  ec = errc::closed;
  if (core_ == nullptr) return 0;
  const detail::access_kind kind = core_->kind;
  iovec part{const_cast<std::byte*>(from.data()), from.size()};
  return with_room(room_for(kind), [&] {
    return detail::perform(core_->descriptor, detail::poll_side::write, l.bounds(), asked(kind, from.size()), ec,
                           [&](int fd) { return detail::write_once(kind, fd, &part, 1); });
  });
}

std::size_t stream::write_some(std::span<const std::byte> from, const limits& l) {
  std::error_code ec;
  const std::size_t n = write_some(from, l, ec);
  check(ec, "write to");
  return n;
}

/// The caller has made the room.
std::size_t stream::write_all(iovec* parts, std::size_t n, const detail::wait_bounds& bounds,
                              std::error_code& ec) noexcept {
  std::size_t written = 0;
  ec.clear();
  const detail::access_kind kind = core_->kind;
  advance(parts, n, 0);
  while (n != 0) {
    const std::size_t now = std::min(n, most_parts);
    const std::size_t done =
        detail::perform(core_->descriptor, detail::poll_side::write, bounds, asked(kind, bytes_of(parts, now)), ec,
                        [&](int fd) { return detail::write_once(kind, fd, parts, now); });
    if (ec) break;
    written += done;
    advance(parts, n, done);
  }
  return written;
}

/// Waits until no other writes; says in ec why not.
bool stream::take_turn(const limits& l, std::error_code& ec) const noexcept {
  if (core_->write_order.try_lock()) return true;
  const detail::wait_bounds& bounds = l.bounds();
  if (with_room(waiting_room, [&] { return core_->write_order.try_lock_within(bounds); })) return true;
  const bool stopped = bounds.stop != nullptr && bounds.stop->stop_requested();
  ec = std::make_error_code(stopped ? std::errc::operation_canceled : std::errc::timed_out);
  return false;
}

std::size_t stream::write(std::span<const std::byte> from, const limits& l, std::error_code& ec) noexcept {
  ec = errc::closed;
  if (core_ == nullptr || !take_turn(l, ec)) return 0;
  const std::lock_guard hold(core_->write_order, std::adopt_lock);
  iovec part{const_cast<std::byte*>(from.data()), from.size()};
  return with_room(room_for(core_->kind), [&] { return write_all(&part, 1, l.bounds(), ec); });
}

std::size_t stream::write(std::span<const std::byte> from, const limits& l) {
  std::error_code ec;
  const std::size_t n = write(from, l, ec);
  check(ec, "write to");
  return n;
}

std::size_t stream::write(std::span<const iovec> from, const limits& l, std::error_code& ec) noexcept {
  ec = errc::closed;
  if (core_ == nullptr || !take_turn(l, ec)) return 0;
  const std::lock_guard hold(core_->write_order, std::adopt_lock);
  return with_room(foreign_room, [&] { return write_in_turn(from, l, ec); });
}

/// The caller has the turn.
std::size_t stream::write_in_turn(std::span<const iovec> from, const limits& l, std::error_code& ec) noexcept {
  std::size_t written = 0;
  std::array<iovec, 64> parts;
  for (ec.clear(); !from.empty() && !ec;) {
    const std::size_t n = std::min(from.size(), parts.size());
    std::copy_n(from.begin(), n, parts.begin());
    written += write_all(parts.data(), n, l.bounds(), ec);
    from = from.subspan(n);
  }
  return written;
}

std::size_t stream::write(std::span<const iovec> from, const limits& l) {
  std::error_code ec;
  const std::size_t n = write(from, l, ec);
  check(ec, "write to");
  return n;
}

// --- readiness and deadlines ----------------------------------------------------------------------------------------

void stream::wait_ready(detail::poll_side side, const limits& l, std::error_code& ec) noexcept {
  ec = errc::closed;
  if (core_ == nullptr) return;
  with_room(waiting_room, [&] {
    detail::polled::use now(core_->descriptor);
    if (!now) return;
    detail::poll_outcome outcome = detail::poll_outcome::ready;
    // The word may speak of the past. An event that comes while we wait is none.
    const std::uint32_t seen = now.readiness(side);
    const bool known = seen != 0 && detail::is_ready(now.descriptor(), side);
    if (!known) {
      if (seen != 0) now.blocked(side, seen);
      outcome = now.wait(side, l.bounds());
    }
    now.succeeded(side);  // others that wait are told, since nothing has been taken
    ec = detail::error_of(outcome, 0);
  });
}

void stream::wait_readable(const limits& l, std::error_code& ec) noexcept {
  wait_ready(detail::poll_side::read, l, ec);
}
void stream::wait_readable(const limits& l) {
  std::error_code ec;
  wait_readable(l, ec);
  check(ec, "wait for");
}
void stream::wait_writable(const limits& l, std::error_code& ec) noexcept {
  wait_ready(detail::poll_side::write, l, ec);
}
void stream::wait_writable(const limits& l) {
  std::error_code ec;
  wait_writable(l, ec);
  check(ec, "wait for");
}

namespace {
detail::nanoseconds_t deadline_of(stream::time_point t) noexcept {
  return t == stream::time_point::max() ? detail::no_deadline : detail::deadline_at(t).deadline;
}
}  // namespace

void stream::set_read_deadline(time_point t) noexcept {
  if (core_ != nullptr) core_->descriptor.set_deadline(detail::poll_side::read, deadline_of(t));
}
void stream::set_write_deadline(time_point t) noexcept {
  if (core_ != nullptr) core_->descriptor.set_deadline(detail::poll_side::write, deadline_of(t));
}

}  // namespace heddle::io
