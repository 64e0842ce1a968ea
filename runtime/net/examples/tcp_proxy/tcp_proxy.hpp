// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <signal.h>

#include <chrono>
#include <cstddef>
#include <exception>
#include <functional>
#include <stop_token>
#include <string>
#include <utility>

#include "heddle/fiber.hpp"
#include "heddle/net/dial.hpp"
#include "heddle/net/serve.hpp"
#include "heddle/wait_group.hpp"
#include "relay.hpp"

namespace examples {

struct tcp_proxy_options {
  std::size_t most_connections = 1000;                            ///< at a time; further ones wait
  std::chrono::nanoseconds idle = std::chrono::minutes(5);        ///< without a byte either way, then it is cut
  std::chrono::nanoseconds connecting = std::chrono::seconds(5);  ///< to the target, at most
  std::chrono::nanoseconds grace = std::chrono::seconds(10);      ///< for connections to end after a stop
  bool by_splice = true;                                          ///< false: bytes are copied through the program
  /// Gets the exception that ended a connection, and its peer. By default errors of connections are not told.
  std::function<void(const std::exception_ptr&, const std::string& peer)> on_exception = {};
};

/// Takes TCP connections and carries each over to the target, "host:port".
///
///     examples::tcp_proxy proxy(heddle::net::endpoint::any_v4(8080), "backend.example:80");
///     proxy.run(stop);
///
/// 1. A half-close is passed on; the other way goes on.
/// 2. A connection that ends otherwise than by its peers' closing it (a reset, idleness, a stop, no target) is reset on
///    both sides: nobody takes a part for the whole.
/// 3. After a stop nobody is accepted, and connections have the time `grace` to end.
///
/// A connection takes three fibers, two sockets and, with splice(2), two pipes. The program's SIGPIPE is ignored from
/// now on, unless it has a handler for it: splice(2) raises it.
class tcp_proxy {
 public:
  /// Listens. Throws io::error.
  tcp_proxy(const heddle::net::endpoint& on, std::string target, tcp_proxy_options o = {})
      : options_(std::move(o)), target_(std::move(target)), listener_(heddle::net::tcp_listener::listen(on)) {
    struct sigaction now {};
    if (::sigaction(SIGPIPE, nullptr, &now) == 0 && now.sa_handler == SIG_DFL) ::signal(SIGPIPE, SIG_IGN);
  }

  heddle::net::endpoint local_endpoint() const noexcept { return listener_.local_endpoint(); }

  /// Serves until a stop is requested. Returns when the last connection has ended.
  void run(const std::stop_token& stop) {
    std::stop_source cut;
    heddle::wait_group serving(1);
    auto cutter = heddle::spawn([&] {
      if (!serving.wait(stop) && !serving.wait_for(options_.grace)) cut.request_stop();
    });
    const struct at_end {
      heddle::wait_group& serving;
      ~at_end() { serving.done(); }
    } over{serving};
    // serve() must not close a connection while it is relayed: the grace period is ours.
    const heddle::net::serve_options o{.most_connections = options_.most_connections,
                                       .grace = std::chrono::nanoseconds::max(),
                                       .fiber = {},
                                       .on_exception = options_.on_exception};
    heddle::net::serve(
        listener_, [&, token = cut.get_token()](heddle::net::tcp_stream& client) { carry(client, token); }, stop, o);
  }

 private:
  void carry(heddle::net::tcp_stream& client, const std::stop_token& cut) const {
    heddle::net::tcp_stream server;
    try {
      server = heddle::net::dial(target_, {std::chrono::steady_clock::now() + options_.connecting, cut});
      relay(client, server, options_.idle, options_.by_splice).run(cut);
    } catch (...) {
      std::error_code ignored;
      client.reset_on_close(ignored);
      server.reset_on_close(ignored);
      throw;
    }
  }

  const tcp_proxy_options options_;
  const std::string target_;
  heddle::net::tcp_listener listener_;
};

}  // namespace examples
