// SPDX-License-Identifier: BSL-1.0
#include "count/weak_table.hpp"

#include <algorithm>

#include "count/endings.hpp"
#include "heddle/detail/collected_pages.hpp"

namespace heddle::gc::detail {

using heddle::detail::thread_lock;
namespace collected_pages = heddle::detail::collected_pages;

constinit weak_table the_weak_table;

/// The link that leads to the cell, or the last one of its bucket.
weak_count_cell** weak_table::part::place_of(std::uintptr_t h) noexcept {
  weak_count_cell** p = &buckets[(h >> 3) * 0x9e3779b97f4a7c15 >> 20 & (room - 1)];
  while (*p != nullptr && (*p)->home != h) p = &(*p)->next;
  return p;
}

bool weak_table::part::grow() noexcept {
  const std::size_t had = room;
  const std::size_t more = std::max(had * 2, std::size_t{512});
  auto* const to = static_cast<weak_count_cell**>(collected_pages::make_tables(more * sizeof(weak_count_cell*)));
  if (to == nullptr) return had != 0;  // the buckets get longer
  weak_count_cell** const from = buckets;
  buckets = to;
  room = more;
  for (std::size_t i = 0; i != had; ++i)
    for (weak_count_cell* c = from[i]; c != nullptr;) {
      weak_count_cell* const next = c->next;
      c->next = nullptr;
      *place_of(c->home) = c;
      c = next;
    }
  if (from != nullptr) collected_pages::free_tables(from, had * sizeof(weak_count_cell*));
  return true;
}

weak_count_cell* weak_table::find(const count_header& h) noexcept {
  part& p = part_of(name_of(h));
  const thread_lock hold(p.lock);
  return p.room == 0 ? nullptr : *p.place_of(name_of(h));
}

weak_count_cell* weak_table::find_or_add(count_header& h, weak_count_cell& fresh) noexcept {
  part& p = part_of(name_of(h));
  const thread_lock hold(p.lock);
  if (p.cells >= p.room && !p.grow()) return nullptr;
  weak_count_cell*& place = *p.place_of(name_of(h));
  if (place != nullptr) return place;
  fresh.home = name_of(h);
  fresh.object.store(name_of(h), std::memory_order_relaxed);
  place = &fresh;
  ++p.cells;
  // relaxed: the caller has a reference, which ends after this.
  if (!HEDDLE_PLANTED(count_weak_unflagged)) h.shared.fetch_or(shared_bits::weak, std::memory_order_relaxed);
  return &fresh;
}

count_header* weak_table::forget(const count_header& h) noexcept {
  part& p = part_of(name_of(h));
  const thread_lock hold(p.lock);
  weak_count_cell** const place = p.place_of(name_of(h));
  weak_count_cell* const c = *place;
  if (c == nullptr) return nullptr;
  *place = c->next;
  --p.cells;
  c->object.store(0, std::memory_order_relaxed);
  return reinterpret_cast<count_header*>(c) - 1;
}

void weak_table::silence(const count_header& h) noexcept {
  part& p = part_of(name_of(h));
  const thread_lock hold(p.lock);
  if (weak_count_cell* const c = *p.place_of(name_of(h)); c != nullptr) c->object.store(0, std::memory_order_relaxed);
}

count_header* weak_table::lock(weak_count_cell& c) noexcept {
  part& p = part_of(c.home);
  const thread_lock hold(p.lock);
  auto* const h = reinterpret_cast<count_header*>(c.object.load(std::memory_order_relaxed));
  if (h == nullptr) return nullptr;
  std::uint32_t old = h->shared.load(std::memory_order_relaxed);
  do {
    // It is merged and has no references: it is about to be forgotten.
    const bool is_dead = (old & shared_bits::merged) != 0 && shared_bits::count(old) == 0;
    if (is_dead && !HEDDLE_PLANTED(count_locks_dead)) return nullptr;
    // acquire: so that the object is seen as those who have dropped it have left it; release halves in their drops.
  } while (!h->shared.compare_exchange_weak(old, old + shared_bits::one, std::memory_order_acquire,
                                            std::memory_order_relaxed));
  return h;
}

// --- for the public headers
// -------------------------------------------------------------------------------------------

namespace {

counted<weak_count_cell> one_more(weak_count_cell& c) noexcept {
  count_header* const h = reinterpret_cast<count_header*>(&c) - 1;
  add_inside(*h, ledger_here());
  return count_access::adopt<weak_count_cell>(word_of(&c, h));
}

counted<weak_count_cell> find_cell(const count_header& h) noexcept {
  const critical_call inside;
  weak_count_cell* const c = the_weak_table.find(h);
  return c == nullptr ? nullptr : one_more(*c);
}

}  // namespace

counted<weak_count_cell> cell_of(count_header& h) {
  begin_here();
  if ((h.shared.load(std::memory_order_relaxed) & shared_bits::weak) != 0)
    if (counted<weak_count_cell> known = find_cell(h); known != nullptr) return known;
  counted<weak_count_cell> fresh = make_counted<weak_count_cell>();
  counted<weak_count_cell> of_table = fresh;
  weak_count_cell* c = nullptr;
  counted<weak_count_cell> result;
  {
    const critical_call inside;
    c = the_weak_table.find_or_add(h, *fresh);
    if (c == fresh.get()) {
      count_access::release(of_table);
    } else if (c != nullptr) {
      new (&result) counted<weak_count_cell>(one_more(*c));
    }
  }
  if (c == nullptr) throw std::bad_alloc();
  return result != nullptr ? result : fresh;
}

count_header* lock(weak_count_cell& c) noexcept {
  begin_here();
  const critical_call inside;
  return the_weak_table.lock(c);
}

bool has_died(const weak_count_cell& c) noexcept { return c.object.load(std::memory_order_relaxed) == 0; }

}  // namespace heddle::gc::detail
