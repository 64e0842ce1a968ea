// SPDX-License-Identifier: BSL-1.0
//
// chat ADDRESS: a chat for telnet(1) or nc(1) at an address such as 127.0.0.1:7000. Ends by SIGINT or SIGTERM.
#include "chat.hpp"

#include <cstdio>
#include <exception>

#include "heddle/run.hpp"
#include "until_signalled.hpp"

int main(int n, char** words) {
  if (n != 2) {
    std::fprintf(stderr, "Usage: %s ADDRESS\n", words[0]);
    return 2;
  }
  try {
    examples::signal_channel asked({SIGINT, SIGTERM});
    return heddle::run([&] {
      auto listener = heddle::net::tcp_listener::listen(heddle::net::endpoint::parse(words[1]));
      std::printf("at %s\n", listener.name().c_str());
      std::fflush(stdout);
      const examples::until_signalled over(asked);
      examples::chat chat;
      heddle::net::serve(
          listener, [&](heddle::net::tcp_stream& stream, const std::stop_token& stop) { chat.serve(stream, stop); },
          over.token());
      return 0;
    });
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s: %s\n", words[0], e.what());
    return 1;
  }
}
