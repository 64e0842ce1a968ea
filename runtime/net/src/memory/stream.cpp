// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <array>

#include "memory/hub.hpp"

namespace heddle::net {
namespace {

using heddle::detail::nanoseconds_t;
using heddle::detail::wait_bounds;

iovec part_of(std::span<const std::byte> s) noexcept { return {const_cast<std::byte*>(s.data()), s.size()}; }

nanoseconds_t deadline_of(memory_stream::time_point t) noexcept {
  return t == memory_stream::time_point::max() ? heddle::detail::no_deadline : heddle::detail::deadline_at(t).deadline;
}

/// Waits until no other writes; says why not.
std::error_code take_turn(timed_mutex& order, const wait_bounds& bounds) noexcept {
  if (order.try_lock_within(bounds)) return {};
  const bool stopped = bounds.stop != nullptr && bounds.stop->stop_requested();
  return std::make_error_code(stopped ? std::errc::operation_canceled : std::errc::timed_out);
}

/// All of one part; returns how much of it was written.
std::size_t write_part(const detail::memory_end& end, iovec part, const wait_bounds& bounds,
                       std::error_code& ec) noexcept {
  const std::size_t asked = part.iov_len;
  while (part.iov_len != 0) {
    const std::size_t n = end.link->write_some(end.which, std::span(&part, 1), bounds, ec);
    if (ec) break;
    part.iov_base = static_cast<std::byte*>(part.iov_base) + n;
    part.iov_len -= n;
  }
  return asked - part.iov_len;
}

}  // namespace

memory_stream::memory_stream() noexcept = default;
memory_stream::memory_stream(memory_stream&&) noexcept = default;
memory_stream& memory_stream::operator=(memory_stream&&) noexcept = default;
memory_stream::~memory_stream() = default;
memory_stream::memory_stream(std::unique_ptr<detail::memory_end> end) noexcept : end_(std::move(end)) {}

bool memory_stream::is_open() const noexcept { return end_ != nullptr && end_->link->is_open(end_->which); }

std::string memory_stream::name() const { return end_ != nullptr ? peer_endpoint().to_string() : "a closed stream"; }

endpoint memory_stream::local_endpoint() const noexcept {
  return end_ != nullptr ? end_->link->address(end_->which) : endpoint();
}
endpoint memory_stream::peer_endpoint() const noexcept {
  return end_ != nullptr ? end_->link->address(peer_of(end_->which)) : endpoint();
}

void memory_stream::check(const std::error_code& ec, const char* operation) const {
  if (ec) throw io::error(ec, std::string(operation) + " " + name());
}

// --- reading --------------------------------------------------------------------------------------------------------

std::size_t memory_stream::read_some(std::span<const iovec> to, const limits& l, std::error_code& ec) noexcept {
  ec = io::errc::closed;
  return end_ != nullptr ? end_->link->read_some(end_->which, to, l.bounds(), ec) : 0;
}
std::size_t memory_stream::read_some(std::span<const iovec> to, const limits& l) {
  std::error_code ec;
  const std::size_t n = read_some(to, l, ec);
  check(ec, "read from");
  return n;
}

std::size_t memory_stream::read_some(std::span<std::byte> to, const limits& l, std::error_code& ec) noexcept {
  const iovec part = part_of(to);
  return read_some(std::span(&part, 1), l, ec);
}
std::size_t memory_stream::read_some(std::span<std::byte> to, const limits& l) {
  std::error_code ec;
  const std::size_t n = read_some(to, l, ec);
  check(ec, "read from");
  return n;
}

std::size_t memory_stream::read(std::span<std::byte> to, const limits& l, std::error_code& ec) noexcept {
  std::size_t done = 0;
  ec.clear();
  while (done != to.size()) {
    const std::size_t n = read_some(to.subspan(done), l, ec);
    if (!ec && n == 0) ec = io::errc::end_of_stream;
    if (ec) break;
    done += n;
  }
  return done;
}
std::size_t memory_stream::read(std::span<std::byte> to, const limits& l) {
  std::error_code ec;
  const std::size_t n = read(to, l, ec);
  check(ec, "read from");
  return n;
}

// --- writing --------------------------------------------------------------------------------------------------------

std::size_t memory_stream::write_some(std::span<const std::byte> from, const limits& l, std::error_code& ec) noexcept {
  ec = io::errc::closed;
  if (end_ == nullptr) return 0;
  const iovec part = part_of(from);
  return end_->link->write_some(end_->which, std::span(&part, 1), l.bounds(), ec);
}
std::size_t memory_stream::write_some(std::span<const std::byte> from, const limits& l) {
  std::error_code ec;
  const std::size_t n = write_some(from, l, ec);
  check(ec, "write to");
  return n;
}

std::size_t memory_stream::write(std::span<const iovec> from, const limits& l, std::error_code& ec) noexcept {
  ec = io::errc::closed;
  if (end_ == nullptr) return 0;
  ec = take_turn(end_->write_order, l.bounds());
  if (ec) return 0;
  const std::lock_guard hold(end_->write_order, std::adopt_lock);
  std::size_t written = 0;
  for (const iovec& part : from) {
    written += write_part(*end_, part, l.bounds(), ec);
    if (ec) break;
  }
  return written;
}
std::size_t memory_stream::write(std::span<const iovec> from, const limits& l) {
  std::error_code ec;
  const std::size_t n = write(from, l, ec);
  check(ec, "write to");
  return n;
}

std::size_t memory_stream::write(std::span<const std::byte> from, const limits& l, std::error_code& ec) noexcept {
  const iovec part = part_of(from);
  return write(std::span(&part, 1), l, ec);
}
std::size_t memory_stream::write(std::span<const std::byte> from, const limits& l) {
  std::error_code ec;
  const std::size_t n = write(from, l, ec);
  check(ec, "write to");
  return n;
}

// --- readiness, deadlines, ends -------------------------------------------------------------------------------------

void memory_stream::wait_readable(const limits& l, std::error_code& ec) noexcept {
  ec = end_ != nullptr ? end_->link->await_readable(end_->which, l.bounds()) : io::errc::closed;
}
void memory_stream::wait_readable(const limits& l) {
  std::error_code ec;
  wait_readable(l, ec);
  check(ec, "wait for");
}
void memory_stream::wait_writable(const limits& l, std::error_code& ec) noexcept {
  ec = end_ != nullptr ? end_->link->await_writable(end_->which, l.bounds()) : io::errc::closed;
}
void memory_stream::wait_writable(const limits& l) {
  std::error_code ec;
  wait_writable(l, ec);
  check(ec, "wait for");
}

void memory_stream::set_read_deadline(time_point t) noexcept {
  if (end_ != nullptr) end_->link->set_read_deadline(end_->which, deadline_of(t));
}
void memory_stream::set_write_deadline(time_point t) noexcept {
  if (end_ != nullptr) end_->link->set_write_deadline(end_->which, deadline_of(t));
}

void memory_stream::shutdown_write(std::error_code& ec) noexcept {
  ec = end_ != nullptr ? end_->link->shut_write(end_->which) : io::errc::closed;
}
void memory_stream::shutdown_write() {
  std::error_code ec;
  shutdown_write(ec);
  check(ec, "shut down");
}
void memory_stream::shutdown_read(std::error_code& ec) noexcept {
  ec = end_ != nullptr ? end_->link->shut_read(end_->which) : io::errc::closed;
}
void memory_stream::reset_on_close(std::error_code& ec) noexcept {
  ec = end_ != nullptr ? end_->link->reset_on_close(end_->which) : io::errc::closed;
}
void memory_stream::close() noexcept {
  if (end_ != nullptr) end_->link->close(end_->which);
}
void memory_stream::set_no_delay(bool, std::error_code& ec) noexcept {
  ec.clear();
  if (!is_open()) ec = io::errc::closed;
}
void memory_stream::set_keep_alive(bool on, std::error_code& ec) noexcept { set_no_delay(on, ec); }

}  // namespace heddle::net
