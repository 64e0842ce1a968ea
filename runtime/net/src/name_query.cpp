// SPDX-License-Identifier: BSL-1.0
#include "name_query.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <optional>

#include "heddle/blocking.hpp"
#include "heddle/net/resolve.hpp"
#include "outcome.hpp"

namespace heddle::net {
namespace {

using heddle::detail::nanoseconds_t;
using heddle::detail::poll_outcome;
using heddle::detail::poll_side;

/// The error that getaddrinfo would report: the table is in runtime/net/README.md.
std::error_code error_of(int status) noexcept {
  switch (status) {
    case ARES_SUCCESS: return {};
    case ARES_ENODATA: return resolve_errc::no_address;
    case ARES_ENOTFOUND:
    case ARES_EBADNAME: return resolve_errc::host_not_found;
    case ARES_ESERVFAIL:
    case ARES_ETIMEOUT:
    case ARES_ECONNREFUSED: return resolve_errc::try_again;
    case ARES_ENOMEM: return resolve_errc::out_of_memory;
    case ARES_ECANCELLED:
    case ARES_EDESTRUCTION: return std::make_error_code(std::errc::operation_canceled);
    default: return resolve_errc::failed;
  }
}

// --- sockets: as c-ares makes them by itself, but closed on exec from the beginning, and without SIGPIPE ------------

int open_socket(int family, int type, int protocol, void*) {
  return ::socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
}
int close_socket(int socket, void*) { return ::close(socket); }
int connect_socket(int socket, const sockaddr* to, socklen_t size, void*) { return ::connect(socket, to, size); }
ssize_t receive(int socket, void* to, size_t n, int flags, sockaddr* from, socklen_t* size, void*) {
  return ::recvfrom(socket, to, n, flags, from, size);
}
ssize_t send_parts(int socket, const iovec* parts, int n, void*) {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(parts);
  message.msg_iovlen = static_cast<std::size_t>(n);
  return ::sendmsg(socket, &message, MSG_NOSIGNAL);
}
constexpr ares_socket_functions sockets{open_socket, close_socket, connect_socket, receive, send_parts};

}  // namespace

name_query::~name_query() {
  if (channel_ != nullptr) library_.destroy(channel_);  // which calls answered() if that has not been called
}

int name_query::open_channel() {
  ares_options o{};
  int set = ARES_OPT_SOCK_STATE_CB | ARES_OPT_LOOKUPS;
  o.sock_state_cb = [](void* self, int socket, int readable, int writable) {
    static_cast<name_query*>(self)->watch(socket, readable != 0, writable != 0);
  };
  o.sock_state_cb_data = this;
  std::string servers_only = "b", resolv_conf = options_.resolv_conf;  // the hosts file has been looked at
  o.lookups = servers_only.data();
  if (resolv_conf != detail::name_server_options().resolv_conf) {
    o.resolvconf_path = resolv_conf.data();
    set |= ARES_OPT_RESOLVCONF;
  }
  if (options_.port != detail::name_server_options().port) {
    o.udp_port = o.tcp_port = options_.port;
    set |= ARES_OPT_UDP_PORT | ARES_OPT_TCP_PORT;
  }
  if (options_.timeout.count() != 0) {
    o.timeout = static_cast<int>(options_.timeout.count());
    set |= ARES_OPT_TIMEOUTMS;
  }
  if (options_.tries != 0) {
    o.tries = options_.tries;
    set |= ARES_OPT_TRIES;
  }
  const int status = blocking([&] { return library_.init_options(&channel_, &o, set); });
  if (status != ARES_SUCCESS)
    channel_ = nullptr;
  else
    library_.set_socket_functions(channel_, &sockets, nullptr);
  return status;
}

std::error_code name_query::ask(const std::string& host, const heddle::detail::stop_token& stop,
                                std::vector<endpoint>& found) {
  const int poll = ::epoll_create1(EPOLL_CLOEXEC);
  if (poll < 0) return io::detail::last_error();
  events_ = heddle::detail::polled(poll);
  if (const int status = open_channel(); status != ARES_SUCCESS) return error_of(status);
  ares_addrinfo_hints hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  library_.getaddrinfo(channel_, host.c_str(), nullptr, &hints, answered, this);
  while (!is_answered_)
    if (const std::error_code ec = wait(stop)) return ec;
  if (status_ == ARES_SUCCESS && found_.empty()) return resolve_errc::no_address;
  found = std::move(found_);
  return error_of(status_);
}

void name_query::answered(void* self, int status, int, ares_addrinfo* answer) {
  auto& q = *static_cast<name_query*>(self);
  q.is_answered_ = true;
  q.status_ = status;
  if (answer == nullptr) return;
  try {
    for (const ares_addrinfo_node* n = answer->nodes; n != nullptr; n = n->ai_next)
      if (n->ai_family == AF_INET || n->ai_family == AF_INET6) q.found_.emplace_back(*n->ai_addr);
  } catch (...) {  // of memory, through code that knows no exceptions
    q.status_ = ARES_ENOMEM;
  }
  q.library_.freeaddrinfo(answer);
}

// --- waiting --------------------------------------------------------------------------------------------------------

void name_query::watch(int socket, bool readable, bool writable) noexcept {
  epoll_event e{};
  e.events = (readable ? EPOLLIN : 0u) | (writable ? EPOLLOUT : 0u);
  e.data.fd = socket;
  const int poll = events_.descriptor();
  if (e.events == 0)
    ::epoll_ctl(poll, EPOLL_CTL_DEL, socket, &e);
  else if (::epoll_ctl(poll, EPOLL_CTL_MOD, socket, &e) != 0)
    ::epoll_ctl(poll, EPOLL_CTL_ADD, socket, &e);
}

void name_query::process(int socket, std::uint32_t events) noexcept {
  constexpr std::uint32_t ends = EPOLLERR | EPOLLHUP;
  library_.process_fd(channel_, (events & (EPOLLIN | ends)) != 0 ? socket : ARES_SOCKET_BAD,
                      (events & (EPOLLOUT | ends)) != 0 ? socket : ARES_SOCKET_BAD);
}

/// Waits for an answer, or the time at which to ask again, and sees to it.
std::error_code name_query::wait(const heddle::detail::stop_token& stop) noexcept {
  timeval left{};
  heddle::detail::wait_bounds bounds{.stop = &stop};
  if (library_.timeout(channel_, nullptr, &left) != nullptr)
    bounds.deadline = heddle::detail::monotonic_now() + nanoseconds_t{left.tv_sec} * 1'000'000'000 +
                      nanoseconds_t{left.tv_usec} * 1000;
  std::array<epoll_event, 8> events;
  poll_outcome outcome = poll_outcome::ready;
  const auto n =
      heddle::detail::attempt_until_done(events_, poll_side::read, bounds, 0, outcome, [&](int poll) -> std::ptrdiff_t {
        const int ready = ::epoll_wait(poll, events.data(), static_cast<int>(events.size()), 0);
        if (ready != 0) return ready;
        heddle::detail::set_errno_here(EAGAIN);
        return -1;
      });
  if (outcome == poll_outcome::stopped) return std::make_error_code(std::errc::operation_canceled);
  if (outcome == poll_outcome::failed) return {heddle::detail::errno_here(), std::system_category()};
  for (std::ptrdiff_t i = 0; i < n; ++i) {
    const epoll_event& e = events[static_cast<std::size_t>(i)];
    process(e.data.fd, e.events);
  }
  if (n <= 0) process(ARES_SOCKET_BAD, 0);
  return {};
}

}  // namespace heddle::net
