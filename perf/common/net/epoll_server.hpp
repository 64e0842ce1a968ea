// SPDX-License-Identifier: BSL-1.0
//
// The loop of a server that uses epoll and nothing else, one thread.
#pragma once

#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <string_view>
#include <vector>

#include "common/net/server.hpp"

namespace perf::net {

/// Accepts connections and calls `ready(server, fd)` when one may be read, which says whether it is to live on.
class epoll_server {
 public:
  /// `interest` is what epoll is asked for each connection, once.
  explicit epoll_server(std::uint32_t interest) : interest_(interest) {}

  template <class Ready>
  [[noreturn]] void serve(Ready&& ready) {
    watch(listener_, EPOLLIN);
    std::array<epoll_event, 512> events;
    for (;;) {
      const int count = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), -1);
      require(count >= 0 || errno == EINTR, "epoll_wait failed");
      for (int i = 0; i < count; ++i) {
        const auto& event = events[static_cast<std::size_t>(i)];
        if (event.data.fd == listener_) {
          accept_all();
        } else if (!flush(event.data.fd) || ((event.events & ~EPOLLOUT) != 0 && !ready(*this, event.data.fd))) {
          drop(event.data.fd);
        }
      }
    }
  }

  /// Sends all of it, now or, where the client is slow, as soon as it takes it. False: the connection is dead.
  bool send(int fd, std::string_view bytes) {
    std::string& rest = unsent_[static_cast<std::size_t>(fd)];
    if (!rest.empty()) {
      rest += bytes;
      return true;
    }
    const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent == static_cast<ssize_t>(bytes.size())) [[likely]]
      return true;
    if (sent < 0 && errno != EAGAIN) return false;
    rest = bytes.substr(sent < 0 ? 0 : static_cast<std::size_t>(sent));
    want_output(fd, true);
    return true;
  }

 private:
  void watch(int fd, std::uint32_t interest) {
    epoll_event event{};
    event.events = interest;
    event.data.fd = fd;
    checked(::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
  }
  void accept_all() {
    for (;;) {
      const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) return require(errno == EAGAIN || errno == ECONNABORTED, "accept failed");
      if (unsent_.size() <= static_cast<std::size_t>(fd)) unsent_.resize(static_cast<std::size_t>(fd) + 1);
      watch(fd, interest_);
    }
  }
  void drop(int fd) {
    unsent_[static_cast<std::size_t>(fd)].clear();
    ::close(fd);
  }
  bool flush(int fd) {
    std::string& rest = unsent_[static_cast<std::size_t>(fd)];
    if (rest.empty()) [[likely]]
      return true;
    const ssize_t sent = ::send(fd, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN;
    rest.erase(0, static_cast<std::size_t>(sent));
    if (rest.empty()) want_output(fd, false);
    return true;
  }
  void want_output(int fd, bool wanted) {
    if ((interest_ & EPOLLET) != 0) return;  // asked for from the begin
    epoll_event event{};
    event.events = interest_ | (wanted ? EPOLLOUT : 0U);
    event.data.fd = fd;
    checked(::epoll_ctl(epoll_, EPOLL_CTL_MOD, fd, &event), "epoll_ctl");
  }

  const std::uint32_t interest_;
  const int listener_ = listen_on_loopback(SOCK_NONBLOCK);
  const int epoll_ = checked(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
  std::vector<std::string> unsent_;  // by descriptor
};

}  // namespace perf::net
