// SPDX-License-Identifier: BSL-1.0
#include "session.hpp"

#include <arpa/inet.h>

#include <chrono>
#include <string>

#include "turn.hpp"

namespace heddle::net::tls::detail {
namespace {

bool is_address(const std::string& host) noexcept {
  in6_addr ignored;
  return ::inet_pton(AF_INET, host.c_str(), &ignored) == 1 || ::inet_pton(AF_INET6, host.c_str(), &ignored) == 1;
}

/// The host that a client asks for, and wants to see proved. A dot at the end is part of no certificate.
void set_host(SSL* ssl, std::string host, bool verifies) {
  if (host.ends_with('.')) host.pop_back();
  X509_VERIFY_PARAM* const wanted = SSL_get0_param(ssl);
  ERR_clear_error();
  bool taken = host.find('\0') == std::string::npos;
  if (taken && is_address(host)) {
    if (verifies) taken = X509_VERIFY_PARAM_set1_ip_asc(wanted, host.c_str()) == 1;
  } else if (taken) {
    X509_VERIFY_PARAM_set_hostflags(wanted, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    taken = SSL_set_tlsext_host_name(ssl, host.c_str()) == 1 &&
            (!verifies || X509_VERIFY_PARAM_set1_host(wanted, host.data(), host.size()) == 1);
  }
  ERR_clear_error();
  if (!taken) throw io::error(std::make_error_code(std::errc::invalid_argument), "TLS: the host '" + host + "'");
}

}  // namespace

session::session(std::unique_ptr<transport> lower, const context& c, std::string_view host)
    : lower_(std::move(lower)), context_(c), ssl_(SSL_new(c.native_handle())) {
  BIO* const queues = ssl_ != nullptr ? BIO_new(bio_method()) : nullptr;
  if (queues == nullptr) throw std::bad_alloc();
  BIO_set_data(queues, this);
  BIO_set_init(queues, 1);
  SSL_set_bio(ssl_.get(), queues, queues);
  if (c.is_server()) {
    SSL_set_accept_state(ssl_.get());
    return;
  }
  SSL_set_connect_state(ssl_.get());
  if (!host.empty()) set_host(ssl_.get(), std::string(host), c.verifies());
  if (host.empty() && c.verifies()) nameless_ = errc::no_host_name;
}

session::~session() { close(); }

// --- OpenSSL's view -------------------------------------------------------------------------------------------------

int session::bio_read(BIO* bio, char* to, std::size_t size, std::size_t* done) {
  auto& self = *static_cast<session*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  const std::span<const std::byte> there = self.in_.bytes();
  *done = std::min(size, there.size());
  if (*done == 0) {
    BIO_set_retry_read(bio);
    return 0;
  }
  std::memcpy(to, there.data(), *done);
  self.in_.consume(*done);
  return 1;
}

int session::bio_write(BIO* bio, const char* from, std::size_t size, std::size_t* done) {
  auto& self = *static_cast<session*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  *done = 0;
  try {
    self.out_.append(std::as_bytes(std::span(from, size)));
  } catch (const std::bad_alloc&) {
    return 0;
  }
  *done = size;
  return 1;
}

long session::bio_control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

const BIO_METHOD* session::bio_method() {
  static const BIO_METHOD* const the_method = [] {
    BIO_METHOD* const m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "heddle");
    if (m == nullptr || BIO_meth_set_read_ex(m, bio_read) != 1 || BIO_meth_set_write_ex(m, bio_write) != 1 ||
        BIO_meth_set_ctrl(m, bio_control) != 1)
      throw std::bad_alloc();
    return m;
  }();
  return the_method;
}

session::progress session::progress_of(int result) noexcept {
  if (result > 0) return progress::done;
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ: return progress::wants_input;
    case SSL_ERROR_ZERO_RETURN: return progress::ended;
    default: failure_ = take_error(ssl_.get()); return progress::failed;
  }
}

// --- the stream beneath ---------------------------------------------------------------------------------------------

void session::give_back_room() noexcept {
  const std::lock_guard hold(ssl_lock_);
  in_.release();
}

/// Waits for bytes, and adds them to in_. Holds no memory while it waits.
void session::fill(const io::limits& l, std::error_code& ec) noexcept try {
  constexpr std::size_t enough = record + 512;  // a whole record with what is around it
  const auto room = [this] {
    const std::lock_guard hold(ssl_lock_);
    return in_.room(enough);
  };
  std::size_t n = lower_->read_some(room(), at_once, ec);
  if (ec == std::errc::timed_out) {
    give_back_room();
    lower_->wait_readable(l, ec);
    if (ec) return;
    n = lower_->read_some(room(), l, ec);
  }
  // OpenSSL is not told of the end, after which it would not let us write.
  if (!ec && n == 0) ec = errc::truncated;
  const std::lock_guard hold(ssl_lock_);
  in_.added(n);
  in_.release();
} catch (const std::bad_alloc&) {
  ec = std::error_code(ENOMEM, std::system_category());
}

/// Sends all that OpenSSL has said. In the turn to write.
void session::flush(const io::limits& l, std::error_code& ec) noexcept {
  for (ec.clear();;) {
    while (!sending_.empty()) {
      const std::size_t n = lower_->write_some(sending_.bytes(), l, ec);
      if (ec) return;
      sending_.consume(n);
    }
    const std::lock_guard hold(ssl_lock_);
    if (out_.empty()) break;
    std::swap(sending_, out_);
  }
}

bool session::has_output() const noexcept {
  return inspect([this](SSL*) { return !out_.empty(); });
}

/// Sends what it can. If somebody else writes, that one does it, at the end of its turn at the latest.
void session::flush_without_waiting() noexcept {
  while (has_output() && write_turn_.try_lock()) {
    std::error_code ec;
    flush(at_once, ec);
    write_turn_.unlock();
    if (ec) return;
  }
}

void session::end_write_turn() noexcept {
  sending_.release();
  write_turn_.unlock();
  flush_without_waiting();
}

// --- the handshake --------------------------------------------------------------------------------------------------

void session::handshake(const io::limits& l, std::error_code& ec) noexcept {
  ec = lower_->is_open() ? nameless_ : make_error_code(io::errc::closed);
  if (ec || is_established()) return;
  const turn now(handshake_turn_, l, ec);
  if (ec || is_established()) return;
  shake_hands(l, ec);
  if (ec) return;
  // release: so that those that read and write without the turn see what was done in it; acquire half in
  // is_established().
  established_.store(true, std::memory_order_release);
}

void session::shake_hands(const io::limits& l, std::error_code& ec) noexcept {
  for (;;) {
    const outcome o = call([](SSL* ssl, std::size_t&) { return SSL_do_handshake(ssl); });
    std::error_code unsent;
    // After its part of version 1.3 a server has tickets to say, for which the client need not wait, nor we for it.
    const bool late = o.how == progress::done && context_.is_server() &&
                      inspect([](SSL* ssl) { return SSL_version(ssl) >= TLS1_3_VERSION; });
    const bool without_waiting = late || o.how == progress::failed;
    flush(without_waiting ? io::limits(at_once) : l, unsent);
    ec = o.how == progress::failed ? o.error : without_waiting ? std::error_code() : unsent;
    if (ec || o.how == progress::done) return;
    fill(l, ec);
    if (ec) return;
  }
}

// --- the end --------------------------------------------------------------------------------------------------------

/// Adds the message to out_, once.
void session::say_end(std::error_code& ec) noexcept {
  const outcome o = call([this](SSL* ssl, std::size_t&) {
    if (std::exchange(end_said_, true)) return 1;
    const int result = SSL_shutdown(ssl);
    return result == 0 ? 1 : result;  // 0: the peer has not said it yet
  });
  if (o.how == progress::failed) ec = o.error;
}

void session::shutdown_write(const io::limits& l, std::error_code& ec) noexcept {
  handshake(l, ec);
  if (ec) return;
  turn now(write_turn_, l, ec);
  if (ec) return;
  now.dismiss();
  flush(l, ec);
  if (!ec) say_end(ec);
  if (!ec) flush(l, ec);
  end_write_turn();
}

void session::close() noexcept {
  if (lower_->is_open() && is_established() && write_turn_.try_lock()) {
    std::error_code ec;
    flush(at_once, ec);  // the rest of a write that a limit has ended; without it the end would be a lie
    if (!ec) say_end(ec);
    if (!ec) flush(at_once, ec);
    write_turn_.unlock();
  }
  lower_->close();
}

}  // namespace heddle::net::tls::detail
