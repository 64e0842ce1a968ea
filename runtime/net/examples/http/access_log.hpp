// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace examples::http {

/// A request and what became of it. Texts are valid during the call.
struct log_entry {
  std::string_view client;  ///< as the server was told it
  std::string_view method, target;
  unsigned version;  ///< 10, 11
  std::string_view referer, agent;
  unsigned status;
  std::uint64_t bytes;  ///< of the body that was sent
  std::chrono::nanoseconds took;
};

/// Is called at the end of each request, from the fiber or thread of its connection.
using access_log = std::function<void(const log_entry&)>;

/// The line of Apache's and nginx's "combined" format, with its end. Text of clients is escaped (\xHH): no
/// request makes a line of its own.
std::string combined_line(const log_entry& entry);

/// A log to a descriptor, one write(2) for each request, which O_APPEND keeps apart from those of others.
access_log log_to(int descriptor);

}  // namespace examples::http
