// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <concepts>
#include <exception>
#include <functional>
#include <string>
#include <utility>

#include "heddle/fiber.hpp"
#include "heddle/net/detail/connections.hpp"
#include "heddle/net/tcp.hpp"

namespace heddle::net {

/// How net::serve() serves.
struct serve_options {
  /// At a time. Further ones are not accepted: they wait in the listener's queue, which the system bounds.
  std::size_t most_connections = 10'000;
  /// After a stop: how long connections may go on before they are closed under their handlers.
  std::chrono::nanoseconds grace = std::chrono::seconds(10);
  fiber_options fiber = {};  ///< of the fiber of each connection
  /// Called on that fiber with what leaves a handler. By default an io::error ends the connection in silence, since
  /// peers go away; any other exception is named on stderr.
  std::function<void(const std::exception_ptr&, const std::string& peer)> on_exception = {};
};

/// Accepts connections and calls handler(stream), or handler(stream, stop), on a fiber of its own for each, until a
/// stop is requested or the listener is closed. Then the listener is closed, handlers see the stop in their token and
/// have the time `grace`; what is left after it is closed, and the call returns when the last handler has. The handler
/// is shared by all fibers; a connection is closed when it returns.
///
/// When the process has no descriptor for a connection, that one waits in the queue until another ends: serve() holds
/// one descriptor back for that case, tries again after 5 ms, doubling to 1 s, and says it once on stderr. At most 16
/// connections are accepted in a row before other fibers have a turn.
///
/// `stop` is a std::stop_token, and so is the handler's. Listener: a tcp_listener, or any that has its accept(limits,
/// error_code), name() and close(), and whose streams have name() and a close() that anybody may call. Throws io::error
/// if accepting fails for good, and whatever the listener throws, after the connections have ended as above.
template <class Listener, class Handler>
void serve(Listener& listener, Handler&& handler, const heddle::detail::stop_token& stop = {},
           const serve_options& o = {}) {
  using stream = decltype(listener.accept(limits(stop), std::declval<std::error_code&>()));
  detail::connections all(o.most_connections, o.grace, stop, o.on_exception);
  std::error_code fatal;
  // By the listener, or for want of memory. Connections refer to this frame, so they end first.
  std::exception_ptr thrown;
  try {
    while (all.admit()) {
      detail::admission one(all);
      std::error_code ec;
      stream s = listener.accept(stop, ec);
      const std::string name = listener.name();
      if (ec) {
        one.give_back();
        if (all.recovers(ec, name)) continue;
        fatal = all.failure(ec);
        break;
      }
      auto serve_one = [&all, &handler, connection = std::move(s)]() mutable {
        const detail::connection self(all, connection);
        self.run([&] {
          if constexpr (std::invocable<Handler&, stream&, heddle::detail::stop_token>)
            handler(connection, all.stop());
          else
            handler(connection);
        });
      };
      one.hand_over();
      all.start([&] { go(o.fiber, std::move(serve_one)); }, name);
    }
  } catch (...) {
    thrown = std::current_exception();
  }
  listener.close();
  all.wind_down();
  if (thrown) std::rethrow_exception(thrown);
  if (fatal) throw io::error(fatal, "accept on " + listener.name());
}

}  // namespace heddle::net
