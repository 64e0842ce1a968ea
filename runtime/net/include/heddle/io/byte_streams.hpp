// SPDX-License-Identifier: BSL-1.0
//
// The demands of code over streams, so that it goes with those that are no io::stream: in memory, of a test,
// encrypted.
#pragma once

#include <concepts>
#include <cstddef>
#include <span>
#include <string>
#include <system_error>

#include "heddle/io/error.hpp"
#include "heddle/io/limits.hpp"

namespace heddle::io {

/// As io::stream: returns what is there, at least a byte; 0 at the end.
template <class S>
concept byte_source = requires(S& s, std::span<std::byte> to, const limits& l, std::error_code& ec) {
  { s.read_some(to, l, ec) } -> std::convertible_to<std::size_t>;
};

/// One that can wait without memory to read into.
template <class S>
concept waiting_source = byte_source<S> && requires(S& s, const limits& l, std::error_code& ec) {
  s.wait_readable(l, ec);
};

/// Writes all, and returns how many bytes: fewer with an error.
template <class S>
concept byte_sink = requires(S& s, std::span<const std::byte> from, const limits& l, std::error_code& ec) {
  { s.write(from, l, ec) } -> std::convertible_to<std::size_t>;
};

namespace detail {
/// Throws io::error if ec is one: "<operation> <name>".
template <class S>
void check(const S& s, const std::error_code& ec, const char* operation) {
  if (!ec) return;
  if constexpr (requires { std::string(s.name()); })
    throw error(ec, std::string(operation) + ' ' + std::string(s.name()));
  else
    throw error(ec, std::string(operation) + " a stream");
}
}  // namespace detail

}  // namespace heddle::io
