// SPDX-License-Identifier: BSL-1.0
#include <sys/epoll.h>

#include <vector>

#include "common/net/epoll_server.hpp"

// Edge-triggered, registered once; reads until there is nothing, as Go's poller and Asio do.
int main(int argc, char** argv) {
  const perf::arguments args = perf::net::server_arguments(argc, argv);
  std::vector<char> buffer(args["size"]);
  constexpr std::uint32_t interest = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  perf::net::epoll_server(interest).serve([&](perf::net::epoll_server& server, int fd) {
    for (;;) {
      const ssize_t got = ::recv(fd, buffer.data(), buffer.size(), 0);
      if (got < 0) return errno == EAGAIN;
      if (got == 0 || !server.send(fd, {buffer.data(), static_cast<std::size_t>(got)})) return false;
    }
  });
}
