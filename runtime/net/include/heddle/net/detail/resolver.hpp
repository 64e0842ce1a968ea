// SPDX-License-Identifier: BSL-1.0
//
// How names become addresses, apart from the one that the process has: tests make others.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "heddle/detail/config.hpp"
#include "heddle/io/limits.hpp"
#include "heddle/mutex.hpp"
#include "heddle/net/endpoint.hpp"

namespace heddle::net::detail {
using namespace heddle::detail;

/// Looks a name up, and may block its thread meanwhile. Returns an error and leaves the vector empty, or fills it.
using look_up_function =
    std::function<std::error_code(const std::string& host, const std::string& service, std::vector<endpoint>& found)>;

/// The same, but it blocks its fiber only, and ends soon, with whatever error, when a stop is requested. Nothing: the
/// other function should be asked.
using fiber_look_up_function = std::function<std::optional<std::error_code>(
    const std::string& host, std::uint16_t port, const stop_token& abandoned, std::vector<endpoint>& found)>;

/// getaddrinfo(3).
HEDDLE_EXPORT std::error_code look_up(const std::string& host, const std::string& service,
                                      std::vector<endpoint>& found);

/// How a resolver looks up what it cannot answer by itself.
struct look_up_functions {
  look_up_function blocking;
  std::ptrdiff_t most_blocking = 32;  ///< calls at once: each takes a kernel thread
  fiber_look_up_function first = {};  ///< asked before; may be empty
  std::ptrdiff_t most_first = 128;    ///< calls at once: each has some descriptors
};

/// Answers what it can by itself, and calls functions for the rest, on fibers of its own.
///
/// 1. No more calls go on at once than the functions say. A query whose callers have all gone before its call began
///    makes none.
/// 2. While a query is under way, those that ask for the same host and service wait for it and make none of their own.
/// 3. When the last caller of a query goes, the function that is asked first is stopped, and the query is joined no
///    more. The blocking one cannot be stopped: it goes on, and can be joined.
/// 4. It may be destroyed while calls go on for which nobody waits: they keep what they need.
class HEDDLE_EXPORT resolver {
 public:
  resolver(std::string hosts_path, look_up_functions f);
  resolver(std::string hosts_path, look_up_function f, std::ptrdiff_t most = 32)
      : resolver(std::move(hosts_path), look_up_functions{.blocking = std::move(f), .most_blocking = most}) {}
  ~resolver();
  resolver(const resolver&) = delete;
  resolver& operator=(const resolver&) = delete;

  std::vector<endpoint> resolve(std::string_view host, std::string_view service, const io::limits& l,
                                std::error_code& ec);

 private:
  struct query;
  struct state;
  struct answers;
  static std::shared_ptr<query> join_or_begin(const std::shared_ptr<state>& s, std::string host, std::string service);
  static void answer(state& s, query& q) noexcept;
  static std::optional<answers> ask_first(state& s, query& q) noexcept;
  static std::optional<answers> ask_blocking(state& s, query& q) noexcept;
  std::vector<endpoint> join(std::string host, std::string service, const wait_bounds& b, std::error_code& ec);
  static void leave(state& s, std::unique_lock<mutex>& hold, const std::shared_ptr<query>& q);

  const std::shared_ptr<state> state_;
};

}  // namespace heddle::net::detail
