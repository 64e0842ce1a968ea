// SPDX-License-Identifier: BSL-1.0
//
// Addresses that are found on stacks or nowhere, since all other copies are hidden by an exclusive or.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <utility>
#include <vector>

#include "roots/stacks.hpp"

namespace planted {

inline constexpr std::uintptr_t mask = 0xA5A5'5A5A'C3C3'3C3C;

/// An address that no other memory has, and the way to it.
class hidden {
 public:
  hidden() : masked_((next_.fetch_add(64) + base) ^ mask) {}
  /// Into a register of the caller only.
  [[gnu::always_inline]] std::uintptr_t reveal() const {
    std::uintptr_t v = masked_;
    asm volatile("" : "+r"(v));
    return v ^ mask;
  }
  bool is(std::uintptr_t word) const { return (word ^ mask) == masked_; }

 private:
  static constexpr std::uintptr_t base = 0x0000'5EED'0000'0000;
  static inline std::atomic<std::uintptr_t> next_{0};
  const std::uintptr_t masked_;
};

/// How often each is found.
class finder final : public heddle::gc::detail::root_sink {
 public:
  explicit finder(std::vector<const hidden*> wanted) : wanted_(std::move(wanted)), found_(wanted_.size()) {}
  [[gnu::no_sanitize_address, gnu::no_sanitize_thread]] void words(const void* from, const void* to) noexcept override {
    ++ranges;
    bytes += static_cast<std::size_t>(static_cast<const char*>(to) - static_cast<const char*>(from));
    for (auto* w = static_cast<const std::uintptr_t*>(from); w < static_cast<const std::uintptr_t*>(to); ++w) look(*w);
  }
  int found(std::size_t i) const { return found_[i]; }

  std::size_t ranges = 0;
  std::size_t bytes = 0;

 private:
  void look(std::uintptr_t word) noexcept {
    if ((word >> 32) != 0x5EED) return;
    for (std::size_t i = 0; i != wanted_.size(); ++i) found_[i] += wanted_[i]->is(word);
  }
  std::vector<const hidden*> wanted_;
  std::vector<int> found_;
};

/// Runs f on a plain thread that the collector does not know, as its own thread is.
template <class F>
void as_collector(F f) {
  std::thread t(f);
  t.join();
}

inline int times_found(const hidden& h) {
  finder f({&h});
  heddle::gc::detail::scan_stacks(f);
  return f.found(0);
}

/// Keeps the value on the stack of the caller, in memory.
template <class F>
[[gnu::noinline]] void with_on_stack(std::uintptr_t value, F f) {
  std::uintptr_t kept[4] = {0, value, 0, 0};
  value = 0;
  asm volatile("" : : "r"(kept) : "memory");
  f();
  kept[1] = 0;
  asm volatile("" : : "r"(kept) : "memory");
}

}  // namespace planted
