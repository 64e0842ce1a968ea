// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "heddle/net/memory.hpp"
#include "memory/link.hpp"

namespace heddle::net::detail {

/// One end of a connection, as its stream owns it.
struct memory_end {
  memory_end(std::shared_ptr<detail::link> l, side s) noexcept : link(std::move(l)), which(s) {}
  memory_end(const memory_end&) = delete;
  memory_end& operator=(const memory_end&) = delete;
  ~memory_end() { link->close(which); }

  const std::shared_ptr<detail::link> link;
  const side which;
  timed_mutex write_order;  // so that write() of several fibers do not mix
};

/// An address at which somebody listens. Its lock comes before those of the connections that wait there.
class memory_port {
 public:
  memory_port(std::shared_ptr<memory_hub> hub, const endpoint& on, std::size_t backlog);
  ~memory_port() { come_last(lock_); }

  /// Waits until there is room for one more connection, and lets it wait to be accepted.
  std::error_code join(const std::shared_ptr<link>& l, const wait_bounds& bounds, nanoseconds_t deadline);
  /// Its client has given up, so that it takes no room.
  void leave(const link* l) noexcept;
  std::shared_ptr<link> accept(const wait_bounds& bounds, std::error_code& ec);
  void close() noexcept;
  bool is_open() noexcept;
  /// The clocks of connections have changed.
  void look_again() noexcept;

  const endpoint& address() const noexcept { return address_; }

 private:
  std::shared_ptr<link> take_arrived(nanoseconds_t& next) noexcept;

  const std::shared_ptr<memory_hub> hub_;
  const endpoint address_;
  const std::size_t backlog_;
  mutex lock_;
  condition_variable arrivals_, room_;
  std::deque<std::shared_ptr<link>> waiting_;
  bool closed_ = false;
};

/// The part that the network, its listeners and those that connect share.
class memory_hub : public std::enable_shared_from_this<memory_hub> {
 public:
  explicit memory_hub(const memory_options& o) : options_(o) {}
  ~memory_hub() { come_last(lock_); }

  std::shared_ptr<memory_port> listen(const endpoint& on, std::size_t backlog, std::error_code& ec);
  std::unique_ptr<memory_end> connect(const endpoint& to, const wait_bounds& bounds, std::error_code& ec);
  void forget(const memory_port& port) noexcept;
  void divide(const endpoint& where);
  void heal(const endpoint& where);
  void reset(const endpoint& where);

 private:
  std::shared_ptr<memory_port> port_at(const endpoint& to) const;
  std::uint16_t free_port(endpoint on) const;
  endpoint next_client(const endpoint& to) noexcept;
  void remember(const std::shared_ptr<link>& l);
  std::vector<std::shared_ptr<link>> links_to(const endpoint& where) const;

  const memory_options options_;
  mutex lock_;
  std::map<endpoint, std::shared_ptr<memory_port>> ports_;
  std::set<endpoint> divided_;
  std::vector<std::weak_ptr<link>> links_;
  std::size_t most_links_ = 64;  // before those that have ended are taken out
  std::uint64_t connections_ = 0;
};

}  // namespace heddle::net::detail
