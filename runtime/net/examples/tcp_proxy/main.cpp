// SPDX-License-Identifier: BSL-1.0
//
// tcp_proxy ADDRESS TARGET [SECONDS]: takes TCP connections at ADDRESS, such as 127.0.0.1:8080, and carries them over
// to TARGET, such as example.org:80. One that is idle for SECONDS (300) is cut. Ends by SIGINT or SIGTERM, when its
// connections have ended or ten seconds later.
#include <cstdio>
#include <cstdlib>
#include <exception>

#include "heddle/run.hpp"
#include "tcp_proxy.hpp"
#include "until_signalled.hpp"

namespace {

int serve(char** arguments, int n, examples::signal_channel& asked) {
  examples::tcp_proxy_options o;
  if (n == 4) o.idle = std::chrono::seconds(std::atol(arguments[3]));
  o.on_exception = [](const std::exception_ptr& e, const std::string& peer) {
    try {
      std::rethrow_exception(e);
    } catch (const std::exception& what) {
      std::fprintf(stderr, "%s: %s\n", peer.c_str(), what.what());
    }
  };
  examples::tcp_proxy proxy(heddle::net::endpoint::parse(arguments[1]), arguments[2], o);
  std::printf("at %s\n", proxy.local_endpoint().to_string().c_str());
  std::fflush(stdout);
  examples::until_signalled over(asked);
  proxy.run(over.token());
  return 0;
}

}  // namespace

int main(int n, char** arguments) {
  if (n != 3 && n != 4) {
    std::fprintf(stderr, "Usage: %s ADDRESS TARGET [SECONDS]\n", arguments[0]);
    return 2;
  }
  try {
    examples::signal_channel asked({SIGINT, SIGTERM});
    return heddle::run([&] { return serve(arguments, n, asked); });
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s: %s\n", arguments[0], e.what());
    return 1;
  }
}
