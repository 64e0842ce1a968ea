// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "roots/sink.hpp"

namespace heddle::testing {

/// A word that a test looks for: no address, and not known to anybody in one piece but where the test has put it.
class hidden_word {
 public:
  static constexpr std::uintptr_t apart = 16;  ///< each is that much more than the one before

  /// One that no other test has.
  hidden_word() noexcept : hidden_word(next_.fetch_add(1, std::memory_order_relaxed)) {}
  explicit hidden_word(std::uintptr_t number) noexcept : complement_(~(0xA5'0000'5EED'0000 + apart * number)) {}
  /// Into a register of the caller only.
  [[gnu::always_inline]] std::uintptr_t reveal() const noexcept { return ~complement_; }
  bool is(std::uintptr_t word) const noexcept { return ~word == complement_; }
  /// Stores the word at `at`, and leaves no copy where optimised code might keep one.
  void plant(void* at) const noexcept {
    __atomic_store_n(static_cast<std::uintptr_t*>(at), reveal(), __ATOMIC_RELAXED);
  }

  /// The same at an address that need not be aligned.
  void plant_bytes(void* at) const noexcept {
    const std::uintptr_t word = reveal();
    std::memcpy(at, &word, sizeof word);
  }

 private:
  static inline std::atomic<std::uintptr_t> next_{1 << 20};
  const volatile std::uintptr_t complement_;
};

/// Counts how often it is told of a hidden word.
class finder final : public gc::detail::root_sink {
 public:
  explicit finder(const hidden_word& w) noexcept : looked_for_(w) {}

  // The memory may change meanwhile, as the contract allows.
  [[gnu::no_sanitize_address, gnu::no_sanitize_thread]] void words(const void* from, const void* to) noexcept override {
    const auto* at = static_cast<const volatile std::uintptr_t*>(from);
    if (reinterpret_cast<std::uintptr_t>(from) % 8 != 0 || reinterpret_cast<std::uintptr_t>(to) % 8 != 0) ++unaligned;
    for (; at != to; ++at, ++seen)
      if (looked_for_.is(*at)) ++found;
  }

  std::size_t found = 0;
  std::size_t seen = 0;  ///< words in all
  std::size_t unaligned = 0;

 private:
  const hidden_word& looked_for_;
};

}  // namespace heddle::testing
