// SPDX-License-Identifier: BSL-1.0
#include "ranges.hpp"

#include <algorithm>
#include <charconv>

#include "framing.hpp"

namespace examples::http {
namespace {

/// The number at the front, taken off; nothing: there is none. One that is too large counts as the largest.
std::optional<std::uint64_t> take_number(std::string_view& text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc::invalid_argument) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return error == std::errc::result_out_of_range ? UINT64_MAX : value;
}

/// first-last, first-, or -length. Nothing: it is none of them. A size of 0: it does not exist.
std::optional<byte_range> parse_range(std::string_view text, std::uint64_t size) {
  const auto first = take_number(text);
  if (text.empty() || text.front() != '-') return std::nullopt;
  text.remove_prefix(1);
  const auto last = take_number(text);
  if (!text.empty() || (!first && !last)) return std::nullopt;
  if (!first) {
    const std::uint64_t length = std::min(*last, size);
    return byte_range{size - length, length};
  }
  if (last && *last < *first) return std::nullopt;
  if (*first >= size) return byte_range{0, 0};
  const std::uint64_t end = last ? std::min(*last, size - 1) : size - 1;
  return byte_range{*first, end - *first + 1};
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

}  // namespace

std::optional<std::vector<byte_range>> parse_ranges(std::string_view field, std::uint64_t size) {
  const auto equals = field.find('=');
  if (equals == std::string_view::npos || !same_text(field.substr(0, equals), "bytes")) return std::nullopt;
  std::string_view rest = field.substr(equals + 1);
  std::vector<byte_range> ranges;
  for (std::size_t asked = 0;; ++asked) {
    const auto comma = rest.find(',');
    const auto range = parse_range(trimmed(rest.substr(0, comma)), size);
    if (!range || asked == most_ranges) return std::nullopt;
    const bool behind = ranges.empty() || range->first >= ranges.back().first + ranges.back().size;
    if (range->size > 0 && !behind) return std::nullopt;
    if (range->size > 0) ranges.push_back(*range);
    if (comma == std::string_view::npos) return ranges;
    rest.remove_prefix(comma + 1);
  }
}

}  // namespace examples::http
