// SPDX-License-Identifier: BSL-1.0
#include "heddle/net/resolve.hpp"

#include <unistd.h>

#include <atomic>
#include <memory>
#include <string>

#include "heddle/net/detail/name_servers.hpp"
#include "net_settings.hpp"
#include "outcome.hpp"
#include "process_resolver.hpp"

namespace heddle::net {
namespace {

class category_of_names final : public std::error_category {
 public:
  const char* name() const noexcept override { return "heddle.resolve"; }
  std::string message(int e) const override { return ::gai_strerror(e); }
};

}  // namespace

const std::error_category& resolve_category() noexcept {
  static const category_of_names the_category;
  return the_category;
}

namespace {

/// That of a process: a child of a fork has its own, since nobody there goes on with what its parent has begun.
struct resolver_of_process {
  resolver_of_process()
      : resolver("/etc/hosts",
                 detail::look_up_functions{
                     .blocking = detail::look_up,
                     .first = net_settings().cares ? detail::ask_name_servers() : detail::fiber_look_up_function()}) {}
  const pid_t process = ::getpid();
  detail::resolver resolver;
};
constinit std::atomic<resolver_of_process*> current{nullptr};

}  // namespace

detail::resolver& process_resolver() {
  // acquire, here and below: so that it is seen as it was made; release half in the exchange.
  resolver_of_process* known = current.load(std::memory_order_acquire);
  if (known == nullptr || known->process != ::getpid()) {
    auto made = std::make_unique<resolver_of_process>();
    // Never destroyed: fibers may use it while the process ends.
    if (current.compare_exchange_strong(known, made.get(), std::memory_order_acq_rel, std::memory_order_acquire))
      known = made.release();
  }
  return known->resolver;
}

std::error_code detail::look_up(const std::string& host, const std::string& service, std::vector<endpoint>& found) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* first = nullptr;
  const int result = ::getaddrinfo(host.c_str(), service.empty() ? nullptr : service.c_str(), &hints, &first);
  if (result == EAI_SYSTEM) return io::detail::last_error();
  if (result != 0) return {result, resolve_category()};
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> at_end(first, ::freeaddrinfo);
  for (const addrinfo* a = first; a != nullptr; a = a->ai_next)
    if (a->ai_family == AF_INET || a->ai_family == AF_INET6) found.emplace_back(*a->ai_addr);
  return found.empty() ? make_error_code(resolve_errc::no_address) : std::error_code();
}

std::vector<endpoint> resolve(std::string_view host, std::string_view service, const limits& l, std::error_code& ec) {
  return process_resolver().resolve(host, service, l, ec);
}

std::vector<endpoint> resolve(std::string_view host, std::string_view service, const limits& l) {
  std::error_code ec;
  std::vector<endpoint> found = resolve(host, service, l, ec);
  if (ec) throw io::error(ec, "resolve " + std::string(host));
  return found;
}

std::vector<endpoint> resolve(std::string_view host, std::uint16_t port, const limits& l, std::error_code& ec) {
  return resolve(host, std::to_string(port), l, ec);
}

std::vector<endpoint> resolve(std::string_view host, std::uint16_t port, const limits& l) {
  return resolve(host, std::to_string(port), l);
}

}  // namespace heddle::net
