// SPDX-License-Identifier: BSL-1.0
#include "memory/link.hpp"

#include <limits>

namespace heddle::net::detail {
namespace {

using heddle::detail::monotonic_now;

constexpr std::uint64_t unbroken = std::numeric_limits<std::uint64_t>::max();

std::uint64_t bytes_until_it_breaks(const memory_options& o, std::uint64_t seed) noexcept {
  return chance(seed).one_in(o.resets) ? std::max<std::uint64_t>(o.reset_after, 1) : unbroken;
}

std::size_t bytes_of(std::span<const iovec> parts) noexcept {
  std::size_t sum = 0;
  for (const iovec& p : parts) sum += p.iov_len;
  return sum;
}

/// Calls f(begin, size) for the first n bytes of the parts.
template <class F>
void for_each_piece(std::span<const iovec> parts, std::size_t n, F f) {
  for (const iovec& p : parts) {
    const std::size_t size = std::min(n, p.iov_len);
    if (size != 0) f(static_cast<std::byte*>(p.iov_base), size);
    n -= size;
  }
}

}  // namespace

// --- time -----------------------------------------------------------------------------------------------------------

link::link(const memory_options& o, std::uint64_t seed, const endpoint& client, const endpoint& server, bool divided)
    : ends_{{end_state(o, seed + 10, client), end_state(o, seed + 20, server)}},
      divided_(divided),
      stands_at_(monotonic_now()),
      left_(bytes_until_it_breaks(o, seed)) {
  request_at_ = at(side::server).incoming.arrival(departure());
  answer_at_ = at(side::client).incoming.arrival(request_at_);
}

nanoseconds_t link::now() const noexcept { return divided_ ? stands_at_ : monotonic_now() - stood_; }

nanoseconds_t link::departure() const noexcept { return divided_ ? stands_at_ + 1 : now(); }

nanoseconds_t link::real(nanoseconds_t t) const noexcept {
  return t == no_deadline || divided_ ? no_deadline : heddle::detail::later_by(stood_, t);
}

void link::divide() noexcept {
  const std::lock_guard hold(lock_);
  if (divided_) return;
  stands_at_ = now();
  divided_ = true;
  for (end_state& e : ends_) notify(e);
}

void link::heal() noexcept {
  const std::lock_guard hold(lock_);
  if (!divided_) return;
  divided_ = false;
  stood_ = monotonic_now() - stands_at_;
  for (end_state& e : ends_) notify(e);
}

void link::notify(end_state& e) noexcept {
  e.readable.notify_all();
  e.writable.notify_all();
}

// --- making the connection ------------------------------------------------------------------------------------------

std::error_code link::await_made(const wait_bounds& bounds, nanoseconds_t deadline) {
  std::unique_lock hold(lock_);
  const std::error_code ec = await(hold, at(side::client).readable, bounds, deadline, [this](nanoseconds_t& next) {
    next = real(answer_at_);
    return refused_ || answer_at_ <= now();
  });
  given_up_ = static_cast<bool>(ec);
  if (!ec && refused_) return std::make_error_code(std::errc::connection_refused);
  return ec;
}

std::error_code link::await_refused(const wait_bounds& bounds, nanoseconds_t deadline) {
  const std::error_code ec = await_made(bounds, deadline);
  return ec ? ec : std::make_error_code(std::errc::connection_refused);
}

bool link::request_arrived(nanoseconds_t& when) noexcept {
  const std::lock_guard hold(lock_);
  when = real(request_at_);
  return request_at_ <= now();
}

bool link::given_up() noexcept {
  const std::lock_guard hold(lock_);
  return given_up_;
}

void link::refuse() noexcept {
  const std::lock_guard hold(lock_);
  if (answer_at_ > now())
    refused_ = true;
  else
    send_reset(side::client, departure());
  notify(at(side::client));
}

// --- what an end can do ---------------------------------------------------------------------------------------------

std::error_code link::tell_reset(end_state& e, std::error_code after) noexcept {
  if (e.reset_told) return after;
  e.reset_told = true;
  return std::make_error_code(std::errc::connection_reset);
}

bool link::can_read(end_state& e, nanoseconds_t& next) noexcept {
  const nanoseconds_t t = now();
  next = real(std::min(e.incoming.next_arrival(), e.reset_at));
  return e.closed || e.incoming.arrived(t) != 0 || e.reset_at <= t || e.read_shut || e.incoming.ended(t);
}

bool link::can_write(side s, nanoseconds_t& next) noexcept {
  const end_state& e = at(s);
  next = real(e.reset_at);
  return e.closed || is_reset(e) || e.write_shut || at(peer_of(s)).incoming.room() != 0;
}

// One that only waits has seen what it waited for even if another was quicker to take it.

std::error_code link::await_readable(side s, const wait_bounds& bounds) noexcept {
  std::unique_lock hold(lock_);
  end_state& e = at(s);
  const std::uint64_t before = e.incoming.taken();
  const auto ec = await(hold, e.readable, bounds, e.read_deadline,
                        [&](nanoseconds_t& next) { return can_read(e, next) || e.incoming.taken() != before; });
  return e.closed ? io::errc::closed : ec;
}

std::error_code link::await_writable(side s, const wait_bounds& bounds) noexcept {
  std::unique_lock hold(lock_);
  end_state& e = at(s);
  const pipe& out = at(peer_of(s)).incoming;
  const std::uint64_t before = out.sent();
  const auto ec = await(hold, e.writable, bounds, e.write_deadline,
                        [&](nanoseconds_t& next) { return can_write(s, next) || out.sent() != before; });
  return e.closed ? io::errc::closed : ec;
}

std::size_t link::read_some(side s, std::span<const iovec> to, const wait_bounds& bounds,
                            std::error_code& ec) noexcept {
  std::unique_lock hold(lock_);
  end_state& e = at(s);
  const std::size_t asked = bytes_of(to);
  ec.clear();
  if (asked != 0)
    ec = await(hold, e.readable, bounds, e.read_deadline, [&](nanoseconds_t& next) { return can_read(e, next); });
  if (e.closed) ec = io::errc::closed;
  if (ec || asked == 0) return 0;
  const std::size_t n = std::min(asked, e.incoming.arrived(now()));
  if (n == 0) {
    if (is_reset(e)) ec = tell_reset(e, {});
    return 0;
  }
  const std::size_t taken = e.incoming.read_size(n);
  for_each_piece(to, taken, [&](std::byte* begin, std::size_t size) { e.incoming.take(begin, size); });
  if (!HEDDLE_PLANTED(memory_room_not_told)) at(peer_of(s)).writable.notify_all();
  return taken;
}

std::size_t link::write_some(side s, std::span<const iovec> from, const wait_bounds& bounds,
                             std::error_code& ec) noexcept {
  std::unique_lock hold(lock_);
  end_state& e = at(s);
  const bool nothing = bytes_of(from) == 0;
  ec.clear();
  if (!nothing)
    ec = await(hold, e.writable, bounds, e.write_deadline, [&](nanoseconds_t& next) { return can_write(s, next); });
  if (e.closed) ec = io::errc::closed;
  if (ec || nothing) return 0;
  const auto broken = std::make_error_code(std::errc::broken_pipe);
  if (is_reset(e))
    ec = tell_reset(e, broken);
  else if (e.write_shut)
    ec = broken;
  return ec ? 0 : send(s, from);
}

std::size_t link::send(side s, std::span<const iovec> from) noexcept {
  end_state& peer = at(peer_of(s));
  const nanoseconds_t t = departure();
  std::size_t n = peer.incoming.write_size(std::min(bytes_of(from), peer.incoming.room()));
  if (left_ != unbroken) n = static_cast<std::size_t>(std::min<std::uint64_t>(n, left_));
  if (peer.closed) {  // the kernel of the other side answers with a reset
    send_reset(s, peer.incoming.arrival(t));
  } else {
    for_each_piece(from, n, [&](const std::byte* begin, std::size_t size) { peer.incoming.put(begin, size, t); });
    peer.readable.notify_all();
  }
  break_after(n);
  return n;
}

// --- ends and resets ------------------------------------------------------------------------------------------------

void link::send_reset(side to, nanoseconds_t when) noexcept {
  end_state& e = at(to);
  if (e.reset_at == no_deadline) e.reset_at = e.incoming.arrival(when);
  if (!HEDDLE_PLANTED(memory_reset_not_told)) notify(e);
}

void link::break_after(std::size_t bytes) noexcept {
  if (left_ == unbroken || (left_ -= bytes) != 0) return;
  left_ = unbroken;
  send_reset(side::client, departure());
  send_reset(side::server, departure());
}

void link::reset() noexcept {
  const std::lock_guard hold(lock_);
  for (end_state& e : ends_) {
    e.reset_at = std::min(e.reset_at, now());
    notify(e);
  }
}

std::error_code link::shut_write(side s) noexcept {
  const std::lock_guard hold(lock_);
  end_state& e = at(s);
  if (e.closed) return io::errc::closed;
  if (is_reset(e)) return std::make_error_code(std::errc::not_connected);
  e.write_shut = true;
  at(peer_of(s)).incoming.end(departure());
  at(peer_of(s)).readable.notify_all();
  e.writable.notify_all();
  return {};
}

std::error_code link::shut_read(side s) noexcept {
  const std::lock_guard hold(lock_);
  end_state& e = at(s);
  if (e.closed) return io::errc::closed;
  if (is_reset(e)) return std::make_error_code(std::errc::not_connected);
  e.read_shut = true;
  e.readable.notify_all();
  return {};
}

std::error_code link::reset_on_close(side s) noexcept {
  const std::lock_guard hold(lock_);
  if (at(s).closed) return io::errc::closed;
  at(s).resets_on_close = true;
  return {};
}

void link::close(side s) noexcept {
  const std::lock_guard hold(lock_);
  end_state& e = at(s);
  if (e.closed) return;
  e.closed = true;
  if (e.resets_on_close || e.incoming.size() != 0) {
    send_reset(peer_of(s), departure());
  } else {
    at(peer_of(s)).incoming.end(departure());
    notify(at(peer_of(s)));
  }
  e.incoming.clear();
  e.readable.notify_all();
  if (!HEDDLE_PLANTED(memory_close_misses_writers)) e.writable.notify_all();
}

bool link::is_open(side s) noexcept {
  const std::lock_guard hold(lock_);
  return !at(s).closed;
}

void link::set_read_deadline(side s, nanoseconds_t t) noexcept {
  const std::lock_guard hold(lock_);
  at(s).read_deadline = t;
  if (!HEDDLE_PLANTED(memory_deadline_not_told)) at(s).readable.notify_all();
}

void link::set_write_deadline(side s, nanoseconds_t t) noexcept {
  const std::lock_guard hold(lock_);
  at(s).write_deadline = t;
  at(s).writable.notify_all();
}

}  // namespace heddle::net::detail
