// SPDX-License-Identifier: BSL-1.0
//
// Which pieces of memory addresses have been stored into since the last cycle: a byte for each 2 KiB, a card. In a
// young cycle only these pieces of old objects can lead to young ones.
//
// The table is smaller than the address space: a card stands for all pieces whose numbers end in the same bits. So a
// store need not look where it goes. One onto a stack writes a card that may stand for objects, too, which are then
// looked at in vain.
//
// Source: the byte a card of C. Chambers's and U. Hölzle's Self.
#pragma once

#include <cstddef>
#include <cstdint>

#include "heap/region.hpp"

namespace heddle::gc::detail {

class card_table {
 public:
  constexpr card_table() noexcept = default;

  /// Reserves the table, which takes memory only where it is written. False: no address space. By one thread at a time,
  /// as often as it likes.
  bool begin() noexcept;
  bool has_begun() const noexcept { return cards() != nullptr; }

  /// Writes the cards of [from, to). From any thread. O(bytes).
  void write(const void* from, const void* to) noexcept;
  /// Takes the written cards of the page from p on: to be looked at, and clean until they are written again. By the
  /// collector, before mutators are armed: so what made a thread write one, or leave it as it was, is seen afterwards.
  void take_page(std::uintptr_t p) noexcept;
  /// Whether the piece that p lies in need not be looked at: its card was not taken, nor is it written now.
  bool is_clean(std::uintptr_t p) const noexcept {
    return at(p).load(std::memory_order_relaxed) == 0 && taken_at(p).load(std::memory_order_relaxed) == 0;
  }
  /// The same for the whole page from p on.
  bool is_page_clean(std::uintptr_t p) const noexcept;
  /// All that the taken cards stand for has been looked at: those of the page from p on.
  void forget_page(std::uintptr_t p) noexcept;

  static constexpr std::size_t piece = std::size_t{1} << card_shift;

 private:
  static constexpr std::size_t cards_of_page = page_size / piece;
  static_assert(cards_of_page == 4);  // taken at once

  static card* cards() noexcept { return heddle_gc_cards.load(std::memory_order_relaxed); }
  static card& at(std::uintptr_t p) noexcept { return cards()[card_of(p)]; }
  // A second table of the same shape, of the collector.
  static card& taken_at(std::uintptr_t p) noexcept { return cards()[card_count + card_of(p)]; }
};

extern constinit card_table the_cards;

}  // namespace heddle::gc::detail
