// SPDX-License-Identifier: BSL-1.0
#include "heddle/net/detail/name_servers.hpp"

#include <arpa/inet.h>

#include <memory>
#include <utility>

#include "cares.hpp"
#include "heddle/blocking.hpp"
#include "host_sources.hpp"
#include "name_query.hpp"

namespace heddle::net::detail {
namespace {

/// Text that getaddrinfo takes for an address, by any of its notations ("127.1"), and no name server should be asked
/// for.
bool is_number(const std::string& host) noexcept {
  in_addr ignored{};
  return ::inet_aton(host.c_str(), &ignored) != 0 || host.find_first_of(":%") != std::string::npos;
}

struct system_of_names {
  explicit system_of_names(name_server_options o) : options(std::move(o)), sources(options.nsswitch_conf) {}
  const name_server_options options;
  host_sources sources;
};

}  // namespace

fiber_look_up_function ask_name_servers(name_server_options o) {
  return [s = std::make_shared<system_of_names>(std::move(o))](
             const std::string& host, std::uint16_t port, const stop_token& abandoned,
             std::vector<endpoint>& found) -> std::optional<std::error_code> {
    if (is_number(host) || !s->sources.are_files_and_dns()) return std::nullopt;
    const cares* const library = blocking([] { return cares::library(); });
    if (library == nullptr) return std::nullopt;
    const std::error_code ec = name_query(*library, s->options).ask(host, abandoned, found);
    for (endpoint& e : found) e.port(port);
    return ec;
  };
}

}  // namespace heddle::net::detail
