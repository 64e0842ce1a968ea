// SPDX-License-Identifier: BSL-1.0
#include <sys/epoll.h>

#include <string>
#include <string_view>
#include <vector>

#include "common/net/epoll_server.hpp"
#include "http/hello.hpp"

// The least that can be done: looks for the ends of requests, one read for each event, and sends an answer that was
// made before. Not a server of HTTP.
int main(int argc, char** argv) {
  const perf::arguments args = perf::net::server_arguments(argc, argv);
  std::vector<char> buffer(args["size"]);
  std::vector<std::string> begun;  // requests whose end has not come, by descriptor
  const std::string answer = perf::hello_answer();
  std::string answers;
  perf::net::epoll_server(EPOLLIN).serve([&](perf::net::epoll_server& server, int fd) {
    if (begun.size() <= static_cast<std::size_t>(fd)) begun.resize(static_cast<std::size_t>(fd) + 1);
    std::string& rest = begun[static_cast<std::size_t>(fd)];
    const ssize_t got = ::recv(fd, buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EAGAIN) return true;
    if (got <= 0) {
      rest.clear();
      return false;
    }
    std::string_view text(buffer.data(), static_cast<std::size_t>(got));
    if (!rest.empty()) text = rest += text;
    static constexpr std::string_view end = "\r\n\r\n";
    answers.clear();
    for (std::size_t at; (at = text.find(end)) != std::string_view::npos; text.remove_prefix(at + end.size()))
      answers += answer;
    rest = std::string(text);
    return answers.empty() || server.send(fd, answers);
  });
}
