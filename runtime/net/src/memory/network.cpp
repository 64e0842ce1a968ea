// SPDX-License-Identifier: BSL-1.0
#include "memory/hub.hpp"

namespace heddle::net {

// --- listeners ------------------------------------------------------------------------------------------------------

memory_listener::memory_listener() noexcept = default;
memory_listener::memory_listener(memory_listener&&) noexcept = default;
memory_listener::memory_listener(std::shared_ptr<detail::memory_port> port) noexcept : port_(std::move(port)) {}
memory_listener::~memory_listener() { close(); }

memory_listener& memory_listener::operator=(memory_listener&& other) noexcept {
  if (this == &other) return *this;
  close();
  port_ = std::move(other.port_);
  return *this;
}

memory_stream memory_listener::accept(const limits& l, std::error_code& ec) {
  ec = io::errc::closed;
  if (port_ == nullptr) return {};
  auto link = port_->accept(l.bounds(), ec);
  if (ec) return {};
  return memory_stream(std::make_unique<detail::memory_end>(std::move(link), detail::side::server));
}

memory_stream memory_listener::accept(const limits& l) {
  std::error_code ec;
  memory_stream s = accept(l, ec);
  if (ec) throw io::error(ec, "accept on " + name());
  return s;
}

endpoint memory_listener::local_endpoint() const noexcept { return port_ != nullptr ? port_->address() : endpoint(); }
bool memory_listener::is_open() const noexcept { return port_ != nullptr && port_->is_open(); }
void memory_listener::close() noexcept {
  if (port_ != nullptr) port_->close();
}

// --- the network ----------------------------------------------------------------------------------------------------

memory_network::memory_network(const memory_options& o) : hub_(std::make_shared<detail::memory_hub>(o)) {}
memory_network::~memory_network() = default;

memory_listener memory_network::listen(const endpoint& on, std::size_t backlog, std::error_code& ec) {
  return memory_listener(hub_->listen(on, backlog, ec));
}
memory_listener memory_network::listen(const endpoint& on, std::size_t backlog) {
  std::error_code ec;
  memory_listener l = listen(on, backlog, ec);
  if (ec) throw io::error(ec, "listen on " + on.to_string());
  return l;
}

memory_stream memory_network::connect(const endpoint& to, const limits& l, std::error_code& ec) {
  auto end = hub_->connect(to, l.bounds(), ec);
  return end != nullptr ? memory_stream(std::move(end)) : memory_stream();
}
memory_stream memory_network::connect(const endpoint& to, const limits& l) {
  std::error_code ec;
  memory_stream s = connect(to, l, ec);
  if (ec) throw io::error(ec, "connect to " + to.to_string());
  return s;
}

void memory_network::partition(const endpoint& where) { hub_->divide(where); }
void memory_network::heal(const endpoint& where) { hub_->heal(where); }
void memory_network::reset(const endpoint& where) { hub_->reset(where); }

}  // namespace heddle::net
