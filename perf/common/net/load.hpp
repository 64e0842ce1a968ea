// SPDX-License-Identifier: BSL-1.0
//
// The clients of all contenders: one thread, so many connections, on each of which a request goes out and its answer
// comes back, then the next. Each answer is looked at.
#pragma once

#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "common/bench.hpp"
#include "common/net/latencies.hpp"
#include "common/net/server.hpp"

namespace perf::net {

/// The request of a client that is under way.
struct exchange {
  std::uint64_t number = 0;  ///< of the request, from 1
  std::size_t got = 0;       ///< bytes of its answer
  double sent_at = 0;
};

/// A Protocol has
///   `std::span<const char> request(const exchange&)`: what is sent; valid until the next call;
///   `bool take(exchange&, std::span<const char>)`: looks at more of the answer, counts it in `got` (bytes that do not
///     belong to the answer fail); true: the answer is complete.
template <class Protocol>
class load {
 public:
  load(Protocol protocol, std::size_t connections, std::uint16_t port)
      : protocol_(std::move(protocol)), clients_(connections) {
    for (client& c : clients_) connect(c, port);
  }
  load(const load&) = delete;
  load& operator=(const load&) = delete;

  std::size_t connections() const { return clients_.size(); }
  const latencies& times() const { return latencies_; }

  /// Requests for so long, then until each client has its last answer. Returns how many answers came in that time.
  std::uint64_t run_for(double nanoseconds) {
    const double end = now() + nanoseconds;
    start_all();
    std::uint64_t in_time = 0;
    while (waiting_ > 0)
      step([&](client& c, double answered_at) {
        if (answered_at >= end) return;
        in_time = latencies_.count();
        send(c, answered_at);
      });
    return in_time;
  }

  /// So many requests on each connection; the next one when all have their answers. Returns how many answers came.
  std::uint64_t run_count(std::uint64_t each) {
    for (std::uint64_t i = 0; i < each; ++i) {
      start_all();
      while (waiting_ > 0) step([](client&, double) {});
    }
    return each * clients_.size();
  }

  /// One request on each of the first `count` connections, one after the other.
  void run_singly(std::size_t count) {
    latencies_.clear();
    for (std::size_t i = 0; i < count && i < clients_.size(); ++i) {
      send(clients_[i], now());
      while (waiting_ > 0) step([](client&, double) {});
    }
  }

 private:
  struct client : exchange {
    int fd = -1;
  };

  void connect(client& c, std::uint16_t port) {
    c.fd = checked(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
    set_no_delay(c.fd);
    const linger reset{1, 0};  // at the end no connection lingers, or ports would run out
    checked(::setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), "SO_LINGER");
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    checked(::connect(c.fd, reinterpret_cast<sockaddr*>(&address), sizeof address), "connect");
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = &c;
    checked(::epoll_ctl(epoll_, EPOLL_CTL_ADD, c.fd, &event), "epoll_ctl");
  }

  void start_all() {
    latencies_.clear();
    for (client& c : clients_) send(c, now());
  }

  /// A request fits into the socket: nothing else is under way.
  void send(client& c, double at) {
    ++c.number;
    c.got = 0;
    c.sent_at = at;
    ++waiting_;
    const std::span<const char> request = protocol_.request(c);
    const ssize_t sent = ::send(c.fd, request.data(), request.size(), MSG_NOSIGNAL);
    require(sent == static_cast<ssize_t>(request.size()), "a request was not taken whole");
  }

  template <class Answered>
  void step(Answered&& answered) {
    std::array<epoll_event, 256> events;
    const int count = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), 10'000);
    require(count > 0 || (count < 0 && errno == EINTR), "no answer for ten seconds");
    for (int i = 0; i < count; ++i)
      receive(*static_cast<client*>(events[static_cast<std::size_t>(i)].data.ptr), answered);
  }

  template <class Answered>
  void receive(client& c, Answered&& answered) {
    const ssize_t got = ::recv(c.fd, buffer_.data(), buffer_.size(), 0);
    require(got > 0, "the server closed a connection");
    if (!protocol_.take(c, std::span(buffer_.data(), static_cast<std::size_t>(got)))) return;
    const double at = now();
    latencies_.add(at - c.sent_at);
    --waiting_;
    answered(c, at);
  }

  Protocol protocol_;
  const int epoll_ = checked(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
  std::vector<client> clients_;
  std::vector<char> buffer_ = std::vector<char>(16'384);
  std::size_t waiting_ = 0;  // clients whose answer has not come
  latencies latencies_;
};

}  // namespace perf::net
