// SPDX-License-Identifier: BSL-1.0
#include "heddle/net/tls/stream.hpp"

#include <limits>

#include "certificate.hpp"
#include "session.hpp"

namespace heddle::net::tls {
namespace {

iovec part_of(std::span<const std::byte> s) noexcept { return {const_cast<std::byte*>(s.data()), s.size()}; }
constexpr std::size_t all_records = std::numeric_limits<std::size_t>::max();

}  // namespace

namespace detail {
transport::~transport() = default;
}  // namespace detail

stream::stream() noexcept = default;
stream::stream(stream&&) noexcept = default;
stream& stream::operator=(stream&&) noexcept = default;
stream::~stream() = default;
stream::stream(std::unique_ptr<detail::transport> lower, const context& c, std::string_view host)
    : session_(std::make_unique<detail::session>(std::move(lower), c, host)) {}

void stream::check(const std::error_code& ec, const char* operation) const {
  if (ec) throw io::error(ec, std::string(operation) + " " + name());
}

// --- the calls ------------------------------------------------------------------------------------------------------

void stream::handshake(const limits& l, std::error_code& ec) noexcept {
  ec = io::errc::closed;
  if (session_ != nullptr) session_->handshake(l, ec);
}

std::size_t stream::read_some(std::span<const iovec> to, const limits& l, std::error_code& ec) noexcept {
  ec = io::errc::closed;
  return session_ != nullptr ? session_->read_some(to, l, ec) : 0;
}

std::size_t stream::read_some(std::span<std::byte> to, const limits& l, std::error_code& ec) noexcept {
  const iovec part = part_of(to);
  return read_some(std::span(&part, 1), l, ec);
}

std::size_t stream::read(std::span<std::byte> to, const limits& l, std::error_code& ec) noexcept {
  std::size_t done = 0;
  for (ec.clear(); done != to.size() && !ec;) {
    const std::size_t n = read_some(to.subspan(done), l, ec);
    if (n == 0 && !ec) ec = io::errc::end_of_stream;
    done += n;
  }
  return done;
}

std::size_t stream::write_some(std::span<const std::byte> from, const limits& l, std::error_code& ec) noexcept {
  ec = io::errc::closed;
  const iovec part = part_of(from);
  return session_ != nullptr ? session_->write(std::span(&part, 1), 1, l, ec) : 0;
}

std::size_t stream::write(std::span<const iovec> from, const limits& l, std::error_code& ec) noexcept {
  ec = io::errc::closed;
  return session_ != nullptr ? session_->write(from, all_records, l, ec) : 0;
}

std::size_t stream::write(std::span<const std::byte> from, const limits& l, std::error_code& ec) noexcept {
  const iovec part = part_of(from);
  return write(std::span(&part, 1), l, ec);
}

void stream::flush(const limits& l, std::error_code& ec) noexcept { write(std::span<const iovec>(), l, ec); }

void stream::wait_readable(const limits& l, std::error_code& ec) noexcept {
  ec = io::errc::closed;
  if (session_ != nullptr) session_->wait_readable(l, ec);
}

void stream::wait_writable(const limits& l, std::error_code& ec) noexcept {
  ec = io::errc::closed;
  if (session_ != nullptr) session_->wait_writable(l, ec);
}

void stream::shutdown_write(const limits& l, std::error_code& ec) noexcept {
  ec = io::errc::closed;
  if (session_ != nullptr) session_->shutdown_write(l, ec);
}

// --- the same, throwing ---------------------------------------------------------------------------------------------

void stream::handshake(const limits& l) {
  std::error_code ec;
  handshake(l, ec);
  check(ec, "TLS handshake with");
}
std::size_t stream::read_some(std::span<const iovec> to, const limits& l) {
  std::error_code ec;
  const std::size_t n = read_some(to, l, ec);
  check(ec, "read from");
  return n;
}
std::size_t stream::read_some(std::span<std::byte> to, const limits& l) {
  const iovec part = part_of(to);
  return read_some(std::span(&part, 1), l);
}
std::size_t stream::read(std::span<std::byte> to, const limits& l) {
  std::error_code ec;
  const std::size_t n = read(to, l, ec);
  check(ec, "read from");
  return n;
}
std::size_t stream::write_some(std::span<const std::byte> from, const limits& l) {
  std::error_code ec;
  const std::size_t n = write_some(from, l, ec);
  check(ec, "write to");
  return n;
}
std::size_t stream::write(std::span<const iovec> from, const limits& l) {
  std::error_code ec;
  const std::size_t n = write(from, l, ec);
  check(ec, "write to");
  return n;
}
std::size_t stream::write(std::span<const std::byte> from, const limits& l) {
  const iovec part = part_of(from);
  return write(std::span(&part, 1), l);
}
void stream::flush(const limits& l) { write(std::span<const iovec>(), l); }
void stream::wait_readable(const limits& l) {
  std::error_code ec;
  wait_readable(l, ec);
  check(ec, "wait for");
}
void stream::wait_writable(const limits& l) {
  std::error_code ec;
  wait_writable(l, ec);
  check(ec, "wait for");
}
void stream::shutdown_write(const limits& l) {
  std::error_code ec;
  shutdown_write(l, ec);
  check(ec, "shut down");
}

// --- the stream beneath ---------------------------------------------------------------------------------------------

void stream::set_read_deadline(time_point t) noexcept {
  if (session_ != nullptr) session_->lower().set_read_deadline(t);
}
void stream::set_write_deadline(time_point t) noexcept {
  if (session_ != nullptr) session_->lower().set_write_deadline(t);
}
void stream::close() noexcept {
  if (session_ != nullptr) session_->close();
}
void stream::abort() noexcept {
  if (session_ != nullptr) session_->abort();
}
bool stream::is_open() const noexcept { return session_ != nullptr && session_->lower().is_open(); }
int stream::native_handle() const noexcept { return session_ != nullptr ? session_->lower().native_handle() : -1; }
std::string stream::name() const { return session_ != nullptr ? session_->lower().name() : "a closed stream"; }

// --- what the handshake has brought ---------------------------------------------------------------------------------

std::string stream::protocol() const {
  if (session_ == nullptr || !session_->is_established()) return {};
  return session_->inspect([](const SSL* ssl) { return SSL_get_version(ssl); });
}

std::string stream::cipher() const {
  if (session_ == nullptr || !session_->is_established()) return {};
  return session_->inspect([](const SSL* ssl) { return SSL_CIPHER_get_name(SSL_get_current_cipher(ssl)); });
}

std::string stream::alpn() const {
  if (session_ == nullptr || !session_->is_established()) return {};
  return session_->inspect([](const SSL* ssl) {
    const unsigned char* name = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(ssl, &name, &size);
    return std::string(reinterpret_cast<const char*>(name), size);
  });
}

std::string stream::server_name() const {
  if (session_ == nullptr || !session_->is_established()) return {};
  return session_->inspect([](const SSL* ssl) {
    const char* const name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    return std::string(name != nullptr ? name : "");
  });
}

bool stream::resumed() const noexcept {
  if (session_ == nullptr || !session_->is_established()) return false;
  return session_->inspect([](const SSL* ssl) { return SSL_session_reused(ssl) == 1; });
}

std::optional<certificate> stream::peer_certificate() const {
  if (session_ == nullptr || !session_->is_established()) return std::nullopt;
  const detail::certificate_pointer c(session_->inspect([](const SSL* ssl) { return SSL_get1_peer_certificate(ssl); }));
  return c != nullptr ? std::optional(detail::describe(*c)) : std::nullopt;
}

saved_session stream::session() const {
  if (session_ == nullptr || !session_->is_established()) return {};
  return {session_->inspect([](SSL* ssl) { return SSL_get1_session(ssl); }), SSL_SESSION_free};
}

void stream::resume(const saved_session& s) noexcept {
  if (session_ == nullptr || s == nullptr || session_->is_established()) return;
  session_->inspect([&s](SSL* ssl) { return SSL_set_session(ssl, s.get()); });
}

ssl_st* stream::native_ssl() const noexcept { return session_ != nullptr ? session_->native() : nullptr; }

}  // namespace heddle::net::tls
