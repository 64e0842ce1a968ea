// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <string_view>

namespace perf {

/// The page that all servers answer with.
inline constexpr std::string_view hello = "Hello, world!\n";

/// The whole of an answer, as long as those of servers that look at the clock.
inline std::string hello_answer() {
  return "HTTP/1.1 200 OK\r\nDate: Mon, 30 Nov 2026 12:00:00 GMT\r\nContent-Type: text/plain\r\nContent-Length: " +
         std::to_string(hello.size()) + "\r\n\r\n" + std::string(hello);
}

}  // namespace perf
