// SPDX-License-Identifier: BSL-1.0
#include <sys/epoll.h>

#include <vector>

#include "common/net/epoll_server.hpp"

// Level-triggered, one read for each event: epoll says again what was not read.
int main(int argc, char** argv) {
  const perf::arguments args = perf::net::server_arguments(argc, argv);
  std::vector<char> buffer(args["size"]);
  perf::net::epoll_server(EPOLLIN).serve([&](perf::net::epoll_server& server, int fd) {
    const ssize_t got = ::recv(fd, buffer.data(), buffer.size(), 0);
    if (got < 0) return errno == EAGAIN;
    return got > 0 && server.send(fd, {buffer.data(), static_cast<std::size_t>(got)});
  });
}
