// SPDX-License-Identifier: BSL-1.0
#include "heap/cards.hpp"

#include <algorithm>

#include "heddle/detail/collected_pages.hpp"

constinit std::atomic<heddle::gc::detail::card*> heddle_gc_cards{nullptr};

namespace heddle::gc::detail {

constinit card_table the_cards;

namespace {

#if defined(HEDDLE_MODEL) && HEDDLE_MODEL
constexpr std::size_t at_once = 1;
std::uint8_t look(const card* c) noexcept { return c->load(std::memory_order_relaxed); }
std::uint8_t take(card* c) noexcept { return c->exchange(0, std::memory_order_relaxed); }
void set(card* c, std::uint64_t to) noexcept { c->store(static_cast<std::uint8_t>(to), std::memory_order_relaxed); }
#else
/// The cards of a page are read and taken at once.
using four [[gnu::may_alias]] = std::uint32_t;
constexpr std::size_t at_once = sizeof(four);
std::uint32_t look(const card* c) noexcept {
  return __atomic_load_n(reinterpret_cast<const four*>(c), __ATOMIC_RELAXED);
}
std::uint32_t take(card* c) noexcept { return __atomic_exchange_n(reinterpret_cast<four*>(c), 0, __ATOMIC_RELAXED); }
void set(card* c, std::uint32_t to) noexcept { __atomic_store_n(reinterpret_cast<four*>(c), to, __ATOMIC_RELAXED); }
#endif

}  // namespace

bool card_table::begin() noexcept {
  if (has_begun()) return true;
  void* const tables = heddle::detail::collected_pages::make_tables(2 * card_count * sizeof(card));
  heddle_gc_cards.store(static_cast<card*>(tables), std::memory_order_relaxed);  // the kernel has zeroed them
  return tables != nullptr;
}

void card_table::write(const void* from, const void* to) noexcept {
  const auto first = reinterpret_cast<std::uintptr_t>(from) / piece;
  const auto end = std::min((reinterpret_cast<std::uintptr_t>(to) + piece - 1) / piece, first + card_count);
  for (std::uintptr_t i = first; i != end; ++i) at(i * piece).store(stored_into, std::memory_order_relaxed);
}

void card_table::take_page(std::uintptr_t p) noexcept {
  for (std::size_t i = 0; i != cards_of_page; i += at_once) {
    card* const cards = &at(p) + i;
    card* const taken = &taken_at(p) + i;
    if (look(cards) != 0) set(taken, static_cast<decltype(look(taken))>(look(taken) | take(cards)));
  }
}

bool card_table::is_page_clean(std::uintptr_t p) const noexcept {
  for (std::size_t i = 0; i != cards_of_page; i += at_once)
    if ((look(&at(p) + i) | look(&taken_at(p) + i)) != 0) return false;
  return true;
}

void card_table::forget_page(std::uintptr_t p) noexcept {
  for (std::size_t i = 0; i != cards_of_page; i += at_once)
    if (look(&taken_at(p) + i) != 0) set(&taken_at(p) + i, 0);
}

}  // namespace heddle::gc::detail
