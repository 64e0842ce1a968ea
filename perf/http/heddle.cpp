// SPDX-License-Identifier: BSL-1.0
#include <heddle/heddle.hpp>
#include <heddle/net/serve.hpp>
#include <heddle/net/tcp.hpp>

#include "common/heddle_options.hpp"
#include "common/net/server.hpp"
#include "http/hello.hpp"
#include "net_stream.hpp"
#include "server.hpp"

namespace http = examples::http;

int main(int argc, char** argv) {
  const perf::arguments args = perf::net::server_arguments(argc, argv);
  http::server_options options;
  options.limits.idle_time = std::chrono::hours(1);
  const http::handler answer = [](http::request&, http::response& a) {
    a.add(http::beast::field::content_type, "text/plain");
    a.send(perf::hello);
  };
  const auto talk = [&](heddle::net::tcp_stream& connection, const std::stop_token& stop) {
    http::net_stream stream(connection);
    http::serve(stream, answer, options, stop);
  };
  heddle::run(
      [&] {
        auto listener = heddle::net::tcp_listener::listen(heddle::net::endpoint::loopback_v4(0));
        perf::net::announce(listener.local_endpoint().port());
        heddle::net::serve(listener, talk, {}, {.most_connections = 20'000, .fiber = http::resting});
      },
      perf::heddle_options(args));
}
