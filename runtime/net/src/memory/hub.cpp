// SPDX-License-Identifier: BSL-1.0
#include "memory/hub.hpp"

#include <algorithm>
#include <utility>

namespace heddle::net::detail {
namespace {

/// As the kernel has them by default.
constexpr std::uint16_t first_port = 32'768;
constexpr std::uint16_t ports = 28'232;

}  // namespace

// --- listeners ------------------------------------------------------------------------------------------------------

memory_port::memory_port(std::shared_ptr<memory_hub> hub, const endpoint& on, std::size_t backlog)
    : hub_(std::move(hub)), address_(on), backlog_(std::max<std::size_t>(backlog, 1)) {}

std::error_code memory_port::join(const std::shared_ptr<link>& l, const wait_bounds& bounds, nanoseconds_t deadline) {
  std::unique_lock hold(lock_);
  const auto ec =
      await(hold, room_, bounds, deadline, [this](nanoseconds_t&) { return closed_ || waiting_.size() < backlog_; });
  if (ec) return ec;
  if (closed_) return std::make_error_code(std::errc::connection_refused);
  waiting_.push_back(l);
  arrivals_.notify_all();
  return {};
}

void memory_port::leave(const link* l) noexcept {
  const std::lock_guard hold(lock_);
  std::erase_if(waiting_, [l](const auto& other) { return other.get() == l; });
  room_.notify_all();
}

std::shared_ptr<link> memory_port::take_arrived(nanoseconds_t& next) noexcept {
  for (auto at = waiting_.begin(); at != waiting_.end(); ++at) {
    nanoseconds_t when = no_deadline;
    if ((*at)->request_arrived(when)) {
      std::shared_ptr<link> l = std::move(*at);
      waiting_.erase(at);
      if (!HEDDLE_PLANTED(memory_backlog_not_told)) room_.notify_all();
      return l;
    }
    next = std::min(next, when);
  }
  return nullptr;
}

std::shared_ptr<link> memory_port::accept(const wait_bounds& bounds, std::error_code& ec) {
  std::unique_lock hold(lock_);
  std::shared_ptr<link> l;
  ec = await(hold, arrivals_, bounds, no_deadline, [&](nanoseconds_t& next) {
    if (closed_) return true;
    do l = take_arrived(next);
    while (l != nullptr && l->given_up());
    return l != nullptr;
  });
  if (closed_) ec = io::errc::closed;
  return l;
}

void memory_port::close() noexcept {
  std::deque<std::shared_ptr<link>> left;
  {
    const std::lock_guard hold(lock_);
    if (std::exchange(closed_, true)) return;
    left.swap(waiting_);
    arrivals_.notify_all();
    room_.notify_all();
  }
  hub_->forget(*this);
  for (const auto& l : left) l->refuse();
}

bool memory_port::is_open() noexcept {
  const std::lock_guard hold(lock_);
  return !closed_;
}

void memory_port::look_again() noexcept {
  const std::lock_guard hold(lock_);
  arrivals_.notify_all();
}

// --- the network ----------------------------------------------------------------------------------------------------

std::shared_ptr<memory_port> memory_hub::listen(const endpoint& on, std::size_t backlog, std::error_code& ec) {
  const std::lock_guard hold(lock_);
  endpoint where = on;
  if (on.port() == 0) where.port(free_port(on));
  ec.clear();
  if (where.port() == 0 || ports_.contains(where)) {
    ec = std::make_error_code(std::errc::address_in_use);
    return nullptr;
  }
  auto port = std::make_shared<memory_port>(shared_from_this(), where, backlog);
  ports_.emplace(where, port);
  return port;
}

std::uint16_t memory_hub::free_port(endpoint on) const {
  for (std::uint16_t n = 0; n != ports; ++n) {
    on.port(static_cast<std::uint16_t>(first_port + n));
    if (!ports_.contains(on)) return on.port();
  }
  return 0;
}

void memory_hub::forget(const memory_port& port) noexcept {
  const std::lock_guard hold(lock_);
  ports_.erase(port.address());
}

std::shared_ptr<memory_port> memory_hub::port_at(const endpoint& to) const {
  for (const endpoint& e :
       {to, to.is_v4() ? endpoint::any_v4(to.port()) : endpoint::any_v6(to.port()), endpoint::any_v6(to.port())})
    if (const auto found = ports_.find(e); found != ports_.end()) return found->second;
  return nullptr;
}

endpoint memory_hub::next_client(const endpoint& to) noexcept {
  const auto port = static_cast<std::uint16_t>(first_port + connections_++ % ports);
  return to.is_v4() ? endpoint::loopback_v4(port) : endpoint::loopback_v6(port);
}

void memory_hub::remember(const std::shared_ptr<link>& l) {
  if (links_.size() >= most_links_) {
    std::erase_if(links_, [](const auto& other) { return other.expired(); });
    most_links_ = std::max<std::size_t>(64, 2 * links_.size());
  }
  links_.push_back(l);
}

std::vector<std::shared_ptr<link>> memory_hub::links_to(const endpoint& where) const {
  std::vector<std::shared_ptr<link>> found;
  for (const auto& weak : links_)
    if (auto l = weak.lock(); l != nullptr && l->address(side::server) == where) found.push_back(std::move(l));
  return found;
}

std::unique_ptr<memory_end> memory_hub::connect(const endpoint& to, const wait_bounds& bounds, std::error_code& ec) {
  std::unique_lock hold(lock_);
  const endpoint from = next_client(to);
  chance drawn(options_.seed * 1'000'003 + connections_);
  const auto l = std::make_shared<link>(options_, drawn.next(), from, to, divided_.contains(to));
  const auto port = drawn.one_in(options_.refusals) ? nullptr : port_at(to);
  remember(l);
  hold.unlock();
  auto end = std::make_unique<memory_end>(l, side::client);
  const nanoseconds_t deadline = options_.connect_timeout == std::chrono::nanoseconds::max()
                                     ? no_deadline
                                     : heddle::detail::deadline_after(options_.connect_timeout);
  if (port == nullptr) {
    ec = l->await_refused(bounds, deadline);
    return nullptr;
  }
  ec = port->join(l, bounds, deadline);
  if (!ec && (ec = l->await_made(bounds, deadline))) port->leave(l.get());
  return ec ? nullptr : std::move(end);
}

void memory_hub::divide(const endpoint& where) {
  std::unique_lock hold(lock_);
  divided_.insert(where);
  const auto links = links_to(where);
  hold.unlock();
  for (const auto& l : links) l->divide();
}

void memory_hub::heal(const endpoint& where) {
  std::unique_lock hold(lock_);
  divided_.erase(where);
  const auto links = links_to(where);
  const auto port = port_at(where);
  hold.unlock();
  for (const auto& l : links) l->heal();
  if (port != nullptr) port->look_again();
}

void memory_hub::reset(const endpoint& where) {
  std::unique_lock hold(lock_);
  const auto links = links_to(where);
  hold.unlock();
  for (const auto& l : links) l->reset();
}

}  // namespace heddle::net::detail
