// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace heddle::testing {

/// What the HTTP server makes of bytes: what its handler was given, and what it said.
struct http_outcome {
  std::string requests;  ///< method, target and body of each, in the order in which they were answered
  std::string answers;   ///< but for dates
  bool operator==(const http_outcome&) const = default;
};

/// Lets the server read `input` in pieces of sizes that follow from `seed`, 0: at once, then the end. Aborts if what it
/// says is no sequence of answers: status line, fields, and the body that they promise.
http_outcome serve_bytes(std::string_view input, std::uint32_t seed);

/// The same for an input of the fuzzer: however it is cut, the outcome must be the same. Returns how many requests were
/// answered.
std::size_t serve_cut(const std::uint8_t* data, std::size_t size);

}  // namespace heddle::testing
