// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "heddle/detail/collected_pages.hpp"

namespace heddle::gc::detail {

/// A stack of words in pieces that the kernel gives: it takes no lock of the program, since a thread may be stopped
/// that holds it.
class work_stack {
 public:
  constexpr work_stack() noexcept = default;
  work_stack(const work_stack&) = delete;
  work_stack& operator=(const work_stack&) = delete;
  ~work_stack() { shrink_to(0); }

  bool empty() const noexcept { return at_ == nullptr; }
  /// False: no memory.
  bool push(std::uint64_t w) noexcept {
    if (left_ == 0 && !extend()) [[unlikely]]
      return false;
    --left_;
    *at_++ = w;
    return true;
  }
  /// The stack is not empty.
  std::uint64_t pop() noexcept {
    const std::uint64_t w = *--at_;
    if (++left_ == piece::capacity) [[unlikely]]
      retreat();
    return w;
  }
  /// Pops up to n words into `to`, and returns how many: those on top, which are n if there are more pieces than one.
  std::size_t pop_many(std::uint64_t* to, std::size_t n) noexcept {
    std::size_t got = 0;
    while (got != n && !empty()) to[got++] = pop();
    return got;
  }
  /// Takes the older half of the words in the piece on top, n at most, and returns how many. There is more than one
  /// word.
  std::size_t take_older_half(std::uint64_t* to, std::size_t n) noexcept;
  /// Whether there are more words than n; n is less than a piece has.
  bool has_more_than(std::size_t n) const noexcept {
    return at_ != nullptr && (top_->below != nullptr || piece::capacity - left_ > n);
  }
  /// Gives memory back, but for what a cycle needs when the kernel has none. It is empty.
  void trim() noexcept;

 private:
  struct piece {
    static constexpr std::size_t capacity = (std::size_t{64} << 10) / 8 - 1;
    piece* below;
    std::uint64_t words[capacity];
  };
  static constexpr std::size_t kept_pieces = 16;
  bool extend() noexcept;
  void shrink_to(std::size_t pieces) noexcept;
  void retreat() noexcept;

  std::uint64_t* at_ = nullptr;  // null: empty. Else never at the begin of a piece
  std::size_t left_ = 0;         // room in the piece
  piece* top_ = nullptr;
  piece* spare_ = nullptr;  // all that were ever needed at a time and are not now
};

}  // namespace heddle::gc::detail
