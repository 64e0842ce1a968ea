// SPDX-License-Identifier: BSL-1.0
#include "mark/old_objects.hpp"

#include <algorithm>

#include "heap/cards.hpp"

namespace heddle::gc::detail {
namespace {

/// f(region, page, its tag, its address) for each page of a span of which a card is written.
template <class F>
void for_each_written_page(F f) noexcept {
  the_regions.for_each_region([&](region& r, std::uintptr_t start) {
    // A page that comes into use meanwhile has only new objects, which are marked.
    for (std::size_t page = 0, n = r.used.load(std::memory_order_relaxed); page != n; ++page) {
      // acquire: so that the span and its kind are seen; release half in region_table::add().
      const std::uint32_t tag = r.tags[page].load(std::memory_order_acquire);
      const std::uintptr_t at = start + (page << page_shift);
      if (tag != 0 && !the_cards.is_page_clean(at)) f(r, page, tag, at);
    }
  });
}

bool is_old(region& r, std::size_t bit) noexcept {
  const std::uint64_t mask = std::uint64_t{1} << bit % 64;
  return (r.marks[bit / 64].load(std::memory_order_relaxed) & r.allocated[bit / 64].load(std::memory_order_relaxed) &
          mask) != 0;
}

/// A page of blocks, cut in pieces.
class page_look {
 public:
  page_look(marker& m, region& r, std::size_t page, std::uint32_t tag, std::uintptr_t at) noexcept
      : marker_(m), region_(r), kind_(the_kinds[tag >> 8]), at_(at) {
    first_ = page - (tag & 255);
    start_ = at - (std::uintptr_t{tag & 255} << page_shift);
  }

  void run() const noexcept {
    if (kind_.how == walk::none || kind_.how == walk::weak) return;
    if (!has_old()) return;
    for (std::uintptr_t p = at_; p != at_ + page_size; p += card_table::piece)
      if (!the_cards.is_clean(p)) look(p);
  }

 private:
  bool has_old() const noexcept {
    const bit_word* const words = &region_.marks[first_ * region::words_per_page];
    return std::any_of(words, words + kind_.words_of_bits(),
                       [](const bit_word& w) { return w.load(std::memory_order_relaxed) != 0; });
  }
  /// At the objects that lie in a piece, or reach into it.
  void look(std::uintptr_t p) const noexcept {
    const auto* const from = reinterpret_cast<const char*>(p);
    const std::size_t last =
        std::min(kind_.index_of(p + card_table::piece - 1 - start_), std::size_t{kind_.capacity} - 1);
    for (std::size_t i = kind_.index_of(p - start_); i <= last; ++i)
      if (is_old(region_, first_ * region::words_per_page * 64 + i))
        marker_.look_again(kind_, reinterpret_cast<const char*>(start_ + i * std::size_t{kind_.size}), kind_.size, from,
                           from + card_table::piece);
  }

  marker& marker_;
  region& region_;
  const kind& kind_;
  const std::uintptr_t at_;
  std::size_t first_;     // page of the span
  std::uintptr_t start_;  // of the span
};

void look_at_large(marker& m, region& r, std::size_t page, std::uintptr_t at) noexcept {
  const span& s = *r.spans[page];
  if (s.of->how == walk::none || !is_old(*s.in, s.first * region::words_per_page * 64)) return;
  for (std::uintptr_t p = at; p != at + page_size; p += card_table::piece) {
    const auto* const from = reinterpret_cast<const char*>(p);
    if (!the_cards.is_clean(p)) m.look_again(*s.of, s.start, s.block_bytes, from, from + card_table::piece);
  }
}

}  // namespace

void take_cards() noexcept {
  for_each_written_page([](region&, std::size_t, std::uint32_t, std::uintptr_t at) { the_cards.take_page(at); });
}

void look_at_old_objects(marker& m) noexcept {
  for_each_written_page([&](region& r, std::size_t page, std::uint32_t tag, std::uintptr_t at) {
    the_kinds[tag >> 8].is_large() ? look_at_large(m, r, page, at) : page_look(m, r, page, tag, at).run();
  });
  forget_cards();  // not before: a card may stand for two pages
}

void forget_cards() noexcept {
  for_each_written_page([](region&, std::size_t, std::uint32_t, std::uintptr_t at) { the_cards.forget_page(at); });
}

}  // namespace heddle::gc::detail
