// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace heddle::detail::canary {

/// A canary has at least so many bytes.
inline constexpr std::size_t least = 8;
/// And at most so many: who writes far behind a block does not begin there.
inline constexpr std::size_t most = 128;

/// Set when the process starts, never 0 then.
extern std::uint64_t secret;

/// Eight bytes that nobody knows who has not read them there. The second one is zero, so that of a string which lacks
/// its end little more is read; the first one is not, so that it shows if that end was written behind the block, nor
/// is it a letter or a small number.
inline std::uint64_t word_for(const void* block) noexcept {
  std::uint64_t w = (reinterpret_cast<std::uintptr_t>(block) ^ secret) * 0x9e37'79b9'7f4a'7c15U;
  w ^= w >> 29;
  return (w & ~std::uint64_t{0xff40}) | 0x80;
}

/// Over [from, to), with the word again and again.
inline void write(const void* block, char* from, char* to) noexcept {
  const std::uint64_t word = word_for(block);
  for (; from + sizeof word <= to; from += sizeof word) std::memcpy(from, &word, sizeof word);
  std::memcpy(from, &word, static_cast<std::size_t>(to - from));
}

/// The first byte that is not as it was written, or null.
inline const char* find_damage(const void* block, const char* from, const char* to) noexcept {
  const std::uint64_t word = word_for(block);
  const auto* const bytes = reinterpret_cast<const char*>(&word);
  for (std::size_t i = 0; from != to; ++from, i = (i + 1) % sizeof word) {
    std::uint64_t here = 0;
    while (i == 0 && from + sizeof word <= to && (std::memcpy(&here, from, sizeof here), here == word))
      from += sizeof word;
    if (from == to) break;
    if (*from != bytes[i]) return from;
  }
  return nullptr;
}

/// The first byte of the block that is not `value`, or null.
inline const char* find_other(const char* block, std::size_t size, int value) noexcept {
  // Each byte is compared with the one before it.
  if (size == 0) return nullptr;
  if (*block == static_cast<char>(value) && std::memcmp(block, block + 1, size - 1) == 0) return nullptr;
  while (*block == static_cast<char>(value)) ++block;
  return block;
}

}  // namespace heddle::detail::canary
