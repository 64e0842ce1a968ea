// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>

#include "heddle/asio/use_fiber.hpp"
#include "heddle/group.hpp"
#include "heddle/mutex.hpp"

namespace examples {

/// A connection to the first address of a name that answers: Asio's resolver, timers and sockets on fibers. Each
/// address gets a fiber, which begins a quarter of a second after the one before it (RFC 8305, "Happy Eyeballs"), and
/// the first that is connected stops the others.
///
///     tcp::socket peer = examples::dial(reactor, "www.example.org", "80", 5s);
///
/// \throws boost::system::system_error: what the resolver says; timed_out; the error of the last address that failed.
inline boost::asio::ip::tcp::socket dial(heddle::asio::reactor& r, const std::string& host, const std::string& service,
                                         std::chrono::nanoseconds timeout,
                                         std::chrono::nanoseconds apart = std::chrono::milliseconds(250)) {
  using boost::asio::ip::tcp;
  using heddle::asio::use_fiber;
  const auto end = std::chrono::steady_clock::now() + timeout;
  tcp::resolver resolver(r.get_executor());
  const tcp::resolver::results_type found = resolver.async_resolve(host, service, use_fiber.until(end));

  heddle::mutex lock;  // guards these two
  std::optional<tcp::socket> winner;
  boost::system::error_code last_error = boost::asio::error::timed_out;

  const auto attempt = [&](heddle::group& all, const tcp::endpoint& to, std::chrono::nanoseconds delay) {
    const std::stop_token stop = all.get_token();
    const auto bounded = use_fiber.until(end).stopped_by(stop);
    boost::system::error_code e;
    boost::asio::steady_timer turn(r.get_executor(), delay);
    turn.async_wait(bounded[e]);
    if (e) return;
    tcp::socket s(r.get_executor());
    s.async_connect(to, bounded[e]);
    const std::lock_guard guard(lock);
    if (e) {
      if (!stop.stop_requested()) last_error = e;
    } else if (!winner) {
      winner.emplace(std::move(s));
      all.request_stop();
    }
  };
  heddle::group attempts;
  std::chrono::nanoseconds delay{0};
  for (const auto& entry : found) {
    attempts.spawn([&, to = entry.endpoint(), delay] { attempt(attempts, to, delay); });
    delay += apart;
  }
  attempts.wait();
  if (!winner) throw boost::system::system_error(last_error, host);
  return std::move(*winner);
}

}  // namespace examples
