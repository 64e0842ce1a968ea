// SPDX-License-Identifier: BSL-1.0
//
// Takes bytes for a sequence of calls of the allocator, and checks each result against a record of what there is. Ends
// the process, naming what is wrong, if a promise is broken.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <vector>

#include "blocks.hpp"
#include "scavenger.hpp"

namespace heddle::testing {

class alloc_driver {
 public:
  alloc_driver(const std::uint8_t* data, std::size_t size) : at_(data), end_(data + size) {}
  ~alloc_driver() {
    while (!order_.empty()) free(order_.size() - 1);
  }
  alloc_driver(const alloc_driver&) = delete;
  alloc_driver& operator=(const alloc_driver&) = delete;

  /// Returns the number of calls.
  std::size_t run() {
    std::size_t calls = 0;
    for (; at_ != end_; ++calls) step();
    return calls;
  }

 private:
  struct block {
    std::size_t size;
    std::uint8_t tag;
  };
  static constexpr std::size_t most_blocks = 512, most_bytes = std::size_t{256} << 20;

  static void require(bool holds, const char* promise) {
    if (holds) return;
    std::fprintf(stderr, "the allocator breaks a promise: %s\n", promise);
    std::abort();
  }

  std::uint8_t byte() { return at_ == end_ ? std::uint8_t{0} : *at_++; }
  /// Any magnitude up to 64 MiB; large ones seldom, since they are slow.
  std::size_t size() {
    const std::uint8_t kind = byte();
    const std::size_t n = byte() | std::size_t{byte()} << 8;
    if (kind < 128) return n % 1'100;
    if (kind < 200) return n;
    if (kind < 240) return n * 19;
    if (kind < 254) return n * 64;
    return n << 10;
  }

  void step() {
    switch (byte() % 8) {
      case 0:
      case 1: return add_block([](std::size_t n) { return detail::blocks::allocate(n); }, 16);
      case 2: return allocate_zeroed();
      case 3: {
        const std::size_t alignment = std::size_t{1} << byte() % 24;
        return add_block([=](std::size_t n) { return detail::blocks::allocate_aligned(alignment, n); },
                         std::max<std::size_t>(alignment, 16));
      }
      case 4: return reallocate();
      case 5:
        if (byte() == 0) detail::the_scavenger.release_all();
        [[fallthrough]];
      default:
        if (!order_.empty()) free(pick());
    }
  }

  std::size_t pick() { return (byte() | std::size_t{byte()} << 8) % order_.size(); }

  template <class F>
  void add_block(F allocate, std::size_t alignment) {
    const std::size_t n = size();
    if (order_.size() >= most_blocks || bytes_ + n > most_bytes) return;
    insert(allocate(n), n, alignment);
  }
  void allocate_zeroed() {
    add_block(
        [](std::size_t n) {
          auto* const p = static_cast<const unsigned char*>(detail::blocks::allocate_zeroed(n));
          require(p == nullptr || std::all_of(p, p + n, [](unsigned char c) { return c == 0; }),
                  "zeroed memory is zero");
          return const_cast<unsigned char*>(p);
        },
        16);
  }

  void insert(void* memory, std::size_t n, std::size_t alignment) {
    auto* const p = static_cast<unsigned char*>(memory);
    require(p != nullptr, "there is memory");
    require(reinterpret_cast<std::uintptr_t>(p) % alignment == 0, "blocks are aligned");
    const std::size_t usable = detail::blocks::usable_size(p);
    require(usable >= n, "a block has the size that was asked for");
    const auto behind = live_.lower_bound(p);
    require(behind == live_.end() || p + usable <= behind->first, "blocks do not overlap with what is behind");
    require(behind == live_.begin() || end_of(*std::prev(behind)) <= p, "blocks do not overlap with what is in front");
    // All of what may be used, as far as that is quick.
    const block b{usable, ++tag_};
    live_.emplace(p, b);
    order_.push_back(p);
    bytes_ += usable;
    each(p, b.size, [&](unsigned char& c, std::size_t i) { c = pattern(b.tag, i); });
  }
  static unsigned char* end_of(const std::pair<unsigned char* const, block>& b) { return b.first + b.second.size; }

  static unsigned char pattern(std::uint8_t tag, std::size_t i) { return static_cast<unsigned char>(tag * 31 + i / 8); }
  /// Each byte of small blocks; of large ones both ends, and one in each page.
  template <class F>
  static void each(unsigned char* p, std::size_t n, F f) {
    constexpr std::size_t all = 4'096;
    for (std::size_t i = 0; i < std::min(n, all); ++i) f(p[i], i);
    for (std::size_t i = all; i < n; i += all) f(p[i], i);
    for (std::size_t i = std::max(all, n - std::min<std::size_t>(n, 64)); i < n; ++i) f(p[i], i);
  }
  static void check_contents(unsigned char* p, std::size_t n, std::uint8_t tag) {
    each(p, n, [&](unsigned char& c, std::size_t i) { require(c == pattern(tag, i), "contents stay"); });
  }

  block remove(std::size_t i) {
    const auto found = live_.find(order_[i]);
    const block b = found->second;
    live_.erase(found);
    order_[i] = order_.back();
    order_.pop_back();
    bytes_ -= b.size;
    return b;
  }
  void free(std::size_t i) {
    unsigned char* const p = order_[i];
    const block b = remove(i);
    require(detail::blocks::usable_size(p) == b.size, "the usable size stays");
    check_contents(p, b.size, b.tag);
    detail::blocks::deallocate(p);
  }
  void reallocate() {
    const std::size_t n = size();
    if (order_.empty() || bytes_ + n > most_bytes) return;
    const std::size_t i = pick();
    unsigned char* const p = order_[i];
    const block b = remove(i);
    auto* const q = static_cast<unsigned char*>(detail::blocks::reallocate(p, n));
    require(q != nullptr, "there is memory");
    // A page that is looked at may have been the end of the old block: each() writes all of what it reads.
    const std::size_t kept = std::min(b.size, n);
    for (std::size_t k = 0; k < std::min<std::size_t>(kept, 4'096); ++k)
      require(q[k] == pattern(b.tag, k), "realloc keeps the contents");
    for (std::size_t k = 4'096; k < kept; k += 4'096) require(q[k] == pattern(b.tag, k), "realloc keeps each page");
    insert(q, n, 16);
  }

  const std::uint8_t* at_;
  const std::uint8_t* end_;
  std::map<unsigned char*, block> live_;
  std::vector<unsigned char*> order_;
  std::size_t bytes_ = 0;
  std::uint8_t tag_ = 0;
};

}  // namespace heddle::testing
