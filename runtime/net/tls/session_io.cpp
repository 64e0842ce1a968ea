// SPDX-License-Identifier: BSL-1.0
//
// The work of a session between its handshake and its end.
#include "session.hpp"
#include "turn.hpp"

namespace heddle::net::tls::detail {
namespace {

/// As much of `to` as there is: several records, if they are here. Returns what OpenSSL said last.
int read_records(SSL* ssl, std::span<const iovec> to, std::size_t& bytes) noexcept {
  int result = 1;
  for (const iovec& part : to)
    for (std::size_t done = 0; done != part.iov_len;) {
      std::size_t n = 0;
      result = SSL_read_ex(ssl, static_cast<std::byte*>(part.iov_base) + done, part.iov_len - done, &n);
      if (result <= 0) return result;
      done += n;
      bytes += n;
    }
  return result;
}

bool has_room(std::span<const iovec> parts) noexcept {
  return std::any_of(parts.begin(), parts.end(), [](const iovec& p) { return p.iov_len != 0; });
}

}  // namespace

/// In the turn to read: call(f) until it wants no input; ec is for what ended that before.
template <class F>
session::outcome session::await(F f, const io::limits& l, std::error_code& ec) noexcept {
  for (;;) {
    const outcome o = call(f);
    if (o.has_output) flush_without_waiting();
    if (o.how != progress::wants_input) return o;
    fill(l, ec);
    if (ec) return o;
  }
}

std::size_t session::read_some(std::span<const iovec> to, const io::limits& l, std::error_code& ec) noexcept {
  handshake(l, ec);
  if (ec || !has_room(to)) return 0;
  const turn now(read_turn_, l, ec);
  if (ec) return 0;
  const outcome o = await([to](SSL* ssl, std::size_t& bytes) { return read_records(ssl, to, bytes); }, l, ec);
  if (o.error) ec = o.error;
  return ec ? 0 : o.bytes;
}

void session::wait_readable(const io::limits& l, std::error_code& ec) noexcept {
  handshake(l, ec);
  if (ec) return;
  const turn now(read_turn_, l, ec);
  if (ec) return;
  const auto look = [](SSL* ssl, std::size_t&) {
    std::byte first;
    std::size_t n = 0;
    return SSL_peek_ex(ssl, &first, 1, &n);
  };
  await(look, l, ec);
  if (ec == errc::truncated) ec.clear();  // a read says so
}

void session::wait_writable(const io::limits& l, std::error_code& ec) noexcept {
  handshake(l, ec);
  if (!ec) write({}, 0, l, ec);
  if (!ec) lower_->wait_writable(l, ec);
}

/// Adds records to out_, which are to be sent together, and their bytes to `taken`.
void session::encrypt(pieces& from, std::size_t records, std::size_t& taken, std::error_code& ec) noexcept try {
  constexpr std::size_t together = 4;
  for (std::size_t i = 0; i != std::min(records, together) && !from.empty(); ++i) {
    const std::span<const std::byte> piece = from.next(record);
    const outcome o = call([piece](SSL* ssl, std::size_t& n) {
      std::size_t done = 0;
      const int result = SSL_write_ex(ssl, piece.data(), piece.size(), &done);
      n += done;
      return result;
    });
    taken += o.bytes;
    if (o.how == progress::done) continue;
    ec = o.error ? o.error : std::make_error_code(std::errc::protocol_error);
    break;
  }
} catch (const std::bad_alloc&) {
  ec = std::error_code(ENOMEM, std::system_category());
}

std::size_t session::write(std::span<const iovec> from, std::size_t records, const io::limits& l,
                           std::error_code& ec) noexcept {
  handshake(l, ec);
  if (ec) return 0;
  turn now(write_turn_, l, ec);
  if (ec) return 0;
  now.dismiss();
  pieces all(from);
  std::size_t taken = 0;
  flush(l, ec);  // what an earlier call has left
  if (!ec && !all.empty() && inspect([this](SSL*) { return end_said_; }))
    ec = std::make_error_code(std::errc::broken_pipe);
  while (!ec && taken / record < records && !all.empty()) {
    encrypt(all, records, taken, ec);
    std::error_code unsent;
    flush(l, unsent);
    if (!ec) ec = unsent;
  }
  end_write_turn();
  return taken;
}

}  // namespace heddle::net::tls::detail
