// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace examples::http {

/// A part of something: bytes from `first` on.
struct byte_range {
  std::uint64_t first, size;
  bool operator==(const byte_range&) const = default;
};

/// Most parts that one request may ask for.
inline constexpr std::size_t most_ranges = 16;

/// The part that the field Range asks for, of something that is `size` bytes long (RFC 9110, section 14). Nothing: the
/// field is no list of byte ranges, and to be ignored; or it asks for more than most_ranges, or for parts that overlap,
/// or not in their order, which we ignore too: no honest client does so, and it would be much work. An empty list: none
/// of the parts exists (416). Parts that do not exist beside others are left out.
std::optional<std::vector<byte_range>> parse_ranges(std::string_view field, std::uint64_t size);

}  // namespace examples::http
