// SPDX-License-Identifier: BSL-1.0
//
// The server that curl talks to: the directory that it was given, and /echo, which sends a body back as it comes, in
// chunks. Ends when its stdin does, gracefully, and after five minutes in any case.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <heddle/heddle.hpp>
#include <heddle/net/serve.hpp>
#include <stop_token>
#include <string>
#include <thread>

#include "directory.hpp"
#include "net_stream.hpp"
#include "server.hpp"

namespace http = examples::http;
namespace net = heddle::net;

namespace {

void echo(http::request& q, http::response& a) {
  if (const auto type = q.field(http::beast::field::content_type)) a.add(http::beast::field::content_type, *type);
  std::byte part[10'000];
  std::size_t n = q.read_body(part);  // before the answer begins: the client may wait to be asked
  for (a.begin(); n > 0; n = q.read_body(part)) a.write({reinterpret_cast<const char*>(part), n});
  a.end();
}

}  // namespace

int main(int, char** argv) {
  ::alarm(300);
  std::stop_source stop;
  std::thread([stop]() mutable {
    char byte;
    while (::read(STDIN_FILENO, &byte, 1) > 0) {
    }
    stop.request_stop();
  }).detach();
  return heddle::run(
      [&] {
        const http::directory files(argv[1]);
        const http::handler handle = [&](http::request& q, http::response& a) {
          q.target() == "/echo" ? echo(q, a) : files(q, a);
        };
        http::server_options options;
        options.limits.body_size = 64 << 20;
        auto listener = net::tcp_listener::listen(net::endpoint::loopback_v4(0));
        std::printf("%d\n", int{listener.local_endpoint().port()});
        std::fflush(stdout);
        const auto talk = [&](net::tcp_stream& connection, const std::stop_token& ending) {
          http::net_stream stream(connection);
          http::serve(stream, handle, options, ending);
        };
        // Nothing is cut off: what does not end by itself is a mistake.
        net::serve(listener, talk, stop.get_token(), {.grace = std::chrono::hours(1), .fiber = http::resting});
        return 0;
      },
      {.procs = 2});
}
