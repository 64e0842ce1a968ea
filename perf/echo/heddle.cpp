// SPDX-License-Identifier: BSL-1.0
#include <heddle/heddle.hpp>
#include <heddle/net/tcp.hpp>
#include <system_error>
#include <utility>
#include <vector>

#include "common/heddle_options.hpp"
#include "common/net/server.hpp"

// One client until it goes; one that resets the connection goes, too.
static void echo(heddle::net::tcp_stream& stream, std::size_t size) {
  std::vector<std::byte> buffer(size);
  std::error_code error;
  for (;;) {
    const std::size_t got = stream.read_some(buffer, error);
    if (error || got == 0) return;
    stream.write(std::span(buffer).first(got), error);
    if (error) return;
  }
}

int main(int argc, char** argv) {
  const perf::arguments args = perf::net::server_arguments(argc, argv);
  heddle::run(
      [size = args["size"]] {
        auto listener = heddle::net::tcp_listener::listen(heddle::net::endpoint::loopback_v4(0));
        perf::net::announce(listener.local_endpoint().port());
        for (;;) heddle::go([stream = listener.accept(), size]() mutable { echo(stream, size); });
      },
      perf::heddle_options(args));
}
