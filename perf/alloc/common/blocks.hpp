// SPDX-License-Identifier: BSL-1.0
//
// What the programs share that measure an allocator: blocks that know whether they are whole, and random choices that
// are the same in every run.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "alloc/common/preloaded.hpp"

namespace perf {

/// The compiler has to believe that somebody else reads and writes the block: no call of the allocator is left out.
inline void keep(void*& block) { asm volatile("" : "+r"(block) : : "memory"); }

inline void* obtain(std::size_t size) {
  void* block = std::malloc(size);
  keep(block);
  if (block == nullptr) [[unlikely]]
    fail("malloc gave no block of " + std::to_string(size) + " bytes");
  return block;
}

inline void give_back(void* block) {
  keep(block);
  std::free(block);
}

/// A block whose first and last bytes say which it is. One that overlaps another, has moved or is shorter than asked
/// for does not pass check().
class block {
 public:
  block() = default;
  explicit block(std::size_t size) : at_(obtain(size)), size_(static_cast<std::uint32_t>(size)) {
    const std::uint64_t value = sign();
    if (size_ < sizeof value) {
      std::memcpy(at_, &value, 1);
      return;
    }
    std::memcpy(at_, &value, sizeof value);
    if (size_ >= 2 * sizeof value) std::memcpy(static_cast<char*>(at_) + size_ - sizeof value, &value, sizeof value);
  }

  bool empty() const { return at_ == nullptr; }
  std::size_t size() const { return size_; }
  void* at() const { return at_; }

  void check() const {
    const bool good = size_ < sizeof(std::uint64_t)
                          ? *static_cast<unsigned char*>(at_) == static_cast<unsigned char>(sign())
                          : reads(0) && (size_ < 2 * sizeof(std::uint64_t) || reads(size_ - sizeof(std::uint64_t)));
    if (!good) [[unlikely]]
      fail("a block of " + std::to_string(size_) + " bytes was overwritten");
  }
  /// Checks and frees; whoever asks for it, not the destructor: these are passed round as plain values.
  void free() {
    keep(at_);
    check();
    give_back(at_);
    at_ = nullptr;
  }

 private:
  std::uint64_t sign() const { return (reinterpret_cast<std::uintptr_t>(at_) ^ size_) * 0x9e3779b97f4a7c15u; }
  bool reads(std::size_t offset) const {
    std::uint64_t value;
    std::memcpy(&value, static_cast<char*>(at_) + offset, sizeof value);
    return value == sign();
  }

  void* at_ = nullptr;
  std::uint32_t size_ = 0;
};

/// A block that says in each of its words which it is, as programs write all that they ask for.
class filled_block {
 public:
  explicit filled_block(std::size_t size) : at_(obtain(size)), words_(size / sizeof(std::uint64_t)) {
    auto* const words = static_cast<std::uint64_t*>(at_);
    for (std::size_t i = 0; i != words_; ++i) words[i] = sign() + i;
  }

  /// As block::free().
  void free() {
    keep(at_);
    const auto* const words = static_cast<const std::uint64_t*>(at_);
    std::uint64_t difference = 0;
    for (std::size_t i = 0; i != words_; ++i) difference |= words[i] ^ (sign() + i);
    if (difference != 0) [[unlikely]]
      fail("a block of " + std::to_string(words_) + " words was overwritten");
    give_back(at_);
    at_ = nullptr;
  }

 private:
  std::uint64_t sign() const { return (reinterpret_cast<std::uintptr_t>(at_) ^ words_) * 0x9e3779b97f4a7c15u; }

  void* at_ = nullptr;
  std::size_t words_ = 0;
};

/// Fast, and good enough to choose sizes and slots. Source: Vigna, xorshift64*.
class random {
 public:
  explicit random(std::uint64_t seed) : state_((seed + 1) * 0x9e3779b97f4a7c15u) {}

  std::uint64_t next() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 0x2545f4914f6cdd1du;
  }
  /// 0 to bound - 1.
  std::size_t below(std::size_t bound) { return static_cast<std::size_t>(((next() >> 32) * bound) >> 32); }
  std::size_t between(std::size_t least, std::size_t most) { return least + below(most - least + 1); }
  /// Small ones far more often than large ones: every doubling is equally likely.
  std::size_t skewed(std::size_t least, std::size_t most) {
    std::size_t doublings = 0;
    while (least << (doublings + 1) <= most) ++doublings;
    const std::size_t from = least << below(doublings + 1);
    return from + below((from < most - from ? from : most - from) + 1);
  }

 private:
  std::uint64_t state_;
};

}  // namespace perf
