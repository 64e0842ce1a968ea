// SPDX-License-Identifier: BSL-1.0
#include "count/ledger.hpp"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "barrier/thread_end.hpp"
#include "count/endings.hpp"
#include "heddle/detail/collected_pages.hpp"

namespace heddle::gc::detail {

using heddle::detail::thread_lock;
namespace collected_pages = heddle::detail::collected_pages;

constinit ledgers the_ledgers;

// --- lists
// ------------------------------------------------------------------------------------------------------------

bool header_list::reserve(std::size_t n) noexcept {
  if (n <= room_) return true;
  const std::size_t more = std::max({room_ * 2, n, std::size_t{512}});
  auto* const to = static_cast<count_header**>(collected_pages::make_tables(more * sizeof(count_header*)));
  if (to == nullptr) return false;
  const std::size_t had = count_;
  if (had != 0) std::memcpy(to, first_, had * sizeof(count_header*));
  free();
  first_ = to;
  count_ = had;
  room_ = more;
  return true;
}

bool header_list::push(count_header* h) noexcept {
  if (!reserve(count_ + 1)) return false;
  first_[count_++] = h;
  return true;
}

void header_list::free() noexcept {
  if (first_ != nullptr) collected_pages::free_tables(first_, room_ * sizeof(count_header*));
  first_ = nullptr;
  count_ = room_ = 0;
}

void header_list::swap(header_list& other) noexcept {
  std::swap(first_, other.first_);
  std::swap(count_, other.count_);
  std::swap(room_, other.room_);
}

namespace {

/// Headers are aligned to 8, and addresses have 47 bits: 32 of them stand in the local word, the rest as a count.
constexpr unsigned link_shift = 3;

}  // namespace

void dead_list::push(count_header& h) noexcept {
  const std::uintptr_t link = reinterpret_cast<std::uintptr_t>(first_) >> link_shift;
  h.local.store(static_cast<std::uint32_t>(link), std::memory_order_relaxed);
  h.shared.store(shared_bits::dead | static_cast<std::uint32_t>(link >> 32) << shared_bits::shift,
                 std::memory_order_relaxed);
  first_ = &h;
}

count_header* dead_list::pop() noexcept {
  count_header* const h = first_;
  const std::uintptr_t low = h->local.load(std::memory_order_relaxed);
  const std::uintptr_t high = h->shared.load(std::memory_order_relaxed) >> shared_bits::shift;
  first_ = reinterpret_cast<count_header*>((high << 32 | low) << link_shift);
  return h;
}

// --- memory
// -----------------------------------------------------------------------------------------------------------

bool count_ledger::begin() noexcept {
  shelves_ = static_cast<count_shelf*>(collected_pages::make_tables(most_kinds * sizeof(count_shelf)));
  return shelves_ != nullptr && candidates.reserve(most_candidates);
}

void count_ledger::list(count_span& s, count_shelf& shelf) noexcept {
  s.is_listed = true;
  s.previous_listed = nullptr;
  s.next_listed = shelf.spans;
  if (shelf.spans != nullptr) shelf.spans->previous_listed = &s;
  shelf.spans = &s;
}

void count_ledger::unlist(count_span& s, count_shelf& shelf) noexcept {
  s.is_listed = false;
  (s.previous_listed != nullptr ? s.previous_listed->next_listed : shelf.spans) = s.next_listed;
  if (s.next_listed != nullptr) s.next_listed->previous_listed = s.previous_listed;
}

/// Moves free blocks of s, which is no longer listed, to its shelf, and gives one of them.
void* count_ledger::take_from(count_span& s, const kind& k, count_shelf& shelf) noexcept {
  shelf.current = &s;
  if (s.free == nullptr) {
    // New blocks: as many as lie in a page of the kernel, so that no more is touched than is used.
    const std::size_t at_once = std::max(std::size_t{4096} / k.size, std::size_t{1});
    const auto end = static_cast<std::uint32_t>(std::min<std::size_t>(s.capacity, s.fresh + at_once));
    for (std::uint32_t i = end; i-- != s.fresh;) {
      count_header* const h = header_at(k, s.block_at(i));
      if (!s.zeroed) std::memset(static_cast<void*>(h), 0, sizeof *h);
      link_of(object_of(h)) = s.free;
      s.free = object_of(h);
    }
    s.fresh = end;
  }
  s.used = s.fresh;
  void* const p = std::exchange(s.free, nullptr);
  shelf.free = link_of(p);
  return p;
}

void* count_ledger::get(const kind& k) noexcept {
  count_shelf& shelf = shelves_[k.number];
  if (void* const p = shelf.free; p != nullptr) {
    shelf.free = link_of(p);
    return p;
  }
  if (count_span* const s = shelf.current; s != nullptr && s->has_free()) return take_from(*s, k, shelf);
  count_span* s = shelf.spans;
  if (s != nullptr) {
    unlist(*s, shelf);
    if (s->used == 0) --shelf.empty;
  } else {
    s = make_count_span(k, k.pages);
    if (s == nullptr) return nullptr;
    s->holder = this;
    s->home = &shelf;
  }
  return take_from(*s, k, shelf);
}

/// No block of s is in use any more.
void count_ledger::keep_or_free(count_span& s, count_shelf& shelf) noexcept {
  constexpr std::size_t most_empty = 2;  // spans that are kept
  if (shelf.empty == most_empty) {
    unlist(s, shelf);
    free_count_span(s);
  } else {
    ++shelf.empty;
  }
}

void count_ledger::put_elsewhere(void* object, count_span& s, ended& e) noexcept {
  if (s.of->is_large()) return free_count_span(s);
  constexpr unsigned shift = 48;
  count_ledger& to = *s.holder;
  std::uintptr_t old = to.returned_.load(std::memory_order_relaxed);
  std::uintptr_t now = 0;
  do {
    link_of(object) = reinterpret_cast<void*>(old & ((std::uintptr_t{1} << shift) - 1));
    now = reinterpret_cast<std::uintptr_t>(object) | ((std::min<std::uintptr_t>(old >> shift, 0xfffe) + 1) << shift);
    // release: so that the link is seen, and that the block is used no more; acquire half in settle(). acquire: so that
    // `mail_` is set after settle() has cleared it.
  } while (!to.returned_.compare_exchange_weak(old, now, std::memory_order_acq_rel, std::memory_order_relaxed));
  to.mail_.store(1, std::memory_order_relaxed);
  if ((now >> shift) % enough_returned == 0) e.to_settle = &to;
}

// --- what others leave
// ------------------------------------------------------------------------------------------------

bool count_ledger::hand_over(count_header& h) noexcept {
  std::size_t waiting = 0;
  {
    const thread_lock hold(mail_lock_);
    if (!handed_over_.push(&h)) end_without_memory("remember a reference that waits for its owner");
    waiting = handed_over_.count();
  }
  // seq_cst: so that either we see below that the ledger is being given back, or the thread that gives it back sees
  // this mail; its half in ledgers::give_back().
  if (!HEDDLE_PLANTED(count_queues_unsaid)) mail_.store(1, std::memory_order_seq_cst);
  return waiting % enough_mail == 0 ||
         (holder.load(std::memory_order_seq_cst) == nullptr && !HEDDLE_PLANTED(count_vacant_unseen));
}

void count_ledger::settle(ended& e) noexcept {
  // Before the two looks: whoever leaves something afterwards sets it again.
  if (!HEDDLE_PLANTED(count_mail_cleared_late)) mail_.store(0, std::memory_order_relaxed);
  // acquire: so that links are seen, and blocks are used no more; release: see put(), its other halves.
  std::uintptr_t back = returned_.exchange(0, std::memory_order_acq_rel);
  back &= (std::uintptr_t{1} << 48) - 1;
  while (back != 0) {
    void* const object = reinterpret_cast<void*>(back);
    back = reinterpret_cast<std::uintptr_t>(link_of(object));
    put_here(object, span_around(static_cast<count_header*>(object) - 1));
  }
  {
    const thread_lock hold(mail_lock_);
    settling_.swap(handed_over_);
  }
  for (std::size_t i = 0; i != settling_.count(); ++i) merge(*settling_[i], e);
  settling_.clear();
  if (HEDDLE_PLANTED(count_mail_cleared_late)) mail_.store(0, std::memory_order_relaxed);
}

/// The ledger's object has all its references in the shared count from now on, and one less: the one that waited.
void count_ledger::merge(count_header& h, ended& e) noexcept {
  const std::uint32_t w = h.local.load(std::memory_order_relaxed);
  const bool is_mine = (w & local_bits::owner) == owner();  // else the owner's count has fallen to zero meanwhile
  const std::uint32_t mine = is_mine && !HEDDLE_PLANTED(count_merge_forgets) ? w & local_bits::count : 0;
  // Before the count below: a thread that sees `merged` there finds nobody's name here.
  if (is_mine) h.local.store(local_bits::merged | (w & local_bits::noted), std::memory_order_relaxed);
  std::uint32_t old = h.shared.load(std::memory_order_relaxed);
  std::uint32_t now = 0;
  do {
    now = (old + mine * shared_bits::one - shared_bits::one) & ~shared_bits::queued;
    now |= shared_bits::merged | ((w & local_bits::noted) != 0 ? 0 : shared_bits::noted);
    // release: so that what is written to the object stays before its end, which somebody else may see to; acquire: so
    // that what others have written is seen if we do.
  } while (!h.shared.compare_exchange_weak(old, now, std::memory_order_acq_rel, std::memory_order_relaxed));
  if (shared_bits::count(now) == 0) return end_references(h, *this, e);
  if (((w & local_bits::noted) | (old & shared_bits::noted)) == 0) note(h);
}

void count_ledger::note(count_header& h) noexcept {
  // There is room for most_candidates. One beyond that, for which there is no memory, is forgotten: if it is the only
  // one that leads to a cycle, the cycle stays.
  if (!candidates.push(&h)) ++forgotten;
}

// --- all ledgers
// ------------------------------------------------------------------------------------------------------

namespace {

/// Stands for the thread that sees to a ledger which nobody has.
const mutator* const a_visitor = reinterpret_cast<const mutator*>(std::uintptr_t{1});

}  // namespace

count_ledger* ledgers::make() noexcept {
  if (table_ == nullptr)
    table_ = static_cast<count_ledger**>(
        collected_pages::make_tables((local_bits::most_owners + 1) * sizeof(count_ledger*)));
  auto* const memory = static_cast<count_ledger*>(collected_pages::make_tables(sizeof(count_ledger)));
  if (table_ == nullptr || memory == nullptr || made_ == local_bits::most_owners)
    end_without_memory("count for another thread: it has no memory, or 8,190 threads count already");
  auto* const l = new (memory) count_ledger(++made_);
  if (!l->begin()) end_without_memory("count for another thread");
  table_[made_] = l;
  l->next = all_.load(std::memory_order_relaxed);
  all_.store(l,
             std::memory_order_release);  // release: so that the ledger is seen as it was made; acquire in for_each()
  return l;
}

void ledgers::begin_counting() noexcept {
  if (this_mutator() == nullptr) the_mutators.begin();
  mutator& m = *this_mutator();
  count_ledger* l = nullptr;
  {
    const thread_lock hold(lock_);
    l = vacant_;
    if (l != nullptr) {
      vacant_ = l->next_vacant;
    } else {
      l = make();
    }
    l->holder.store(&m, std::memory_order_relaxed);
  }
  m.end_counting = end_counting;
  the_mutators.begin_counting(m, *l, l->base(), l->shelves());
}

/// The thread m ends.
void ledgers::end_counting(mutator& m) noexcept {
  for (;;) {
    count_ledger& l = *m.ledger;
    ended e;
    the_ledgers.settle(l, e);
    destroy_all(e);
    {
      const critical_call inside;
      m.count_base = 0;
      m.ledger = nullptr;
      m.state->count_base.store(0, std::memory_order_relaxed);
      m.state->shelves = nullptr;
      the_ledgers.give_back(l);
    }
    // Somebody may have left something in between, for a thread that is not there any more. To destroy it takes a
    // ledger again.
    if (!l.has_mail() || HEDDLE_PLANTED(count_given_back_blind)) return;
    the_ledgers.begin_counting();
    the_ledgers.settle(l, e);
    destroy_all(e);
  }
}

bool ledgers::take_vacant(count_ledger& l) noexcept {
  const thread_lock hold(lock_);
  count_ledger** p = &vacant_;
  while (*p != nullptr && *p != &l) p = &(*p)->next_vacant;
  if (*p == nullptr) return false;
  *p = l.next_vacant;
  l.holder.store(a_visitor, std::memory_order_relaxed);
  return true;
}

void ledgers::give_back(count_ledger& l) noexcept {
  const thread_lock hold(lock_);
  // seq_cst: before the look at the mail, so that a thread that hands something over sees that nobody is there, or its
  // mail is seen; its half in hand_over().
  l.holder.store(nullptr, std::memory_order_seq_cst);
  l.next_vacant = vacant_;
  vacant_ = &l;
}

bool ledgers::act_as_holder(count_ledger& l, const mutator* m, function f, void* argument) noexcept {
  if (m == this_mutator()) {
    const critical_call inside;
    f(l, argument);
    return true;
  }
  bool has_it = false;
  the_mutators.exclude(m, [&] {
    has_it = l.holder.load(std::memory_order_relaxed) == m;
    if (has_it) f(l, argument);
  });
  return has_it;
}

bool ledgers::act_as_visitor(count_ledger& l, function f, void* argument) noexcept {
  const critical_call inside;
  if (!take_vacant(l)) return false;
  f(l, argument);
  give_back(l);
  return true;
}

void ledgers::act(count_ledger& l, function f, void* argument) noexcept {
  for (unsigned i = 0;; ++i) {
    const mutator* const m = l.holder.load(std::memory_order_relaxed);
    if (m == a_visitor) {
      i < 100 ? heddle::detail::platform::cpu_relax() : heddle::detail::platform::yield_thread();
    } else if (m == nullptr ? act_as_visitor(l, f, argument) : act_as_holder(l, m, f, argument)) {
      return;
    }
  }
}

void ledgers::settle(count_ledger& l, ended& e) noexcept {
  const function settle_it = [](count_ledger& of, void* to) { of.settle(*static_cast<ended*>(to)); };
  do act(l, settle_it, &e);
  // Whoever has handed something over since, and has seen a visitor, relies on it.
  while (l.holder.load(std::memory_order_seq_cst) == nullptr && l.has_mail());
}

void ledgers::after_fork_in_child() noexcept {
  const thread_lock hold(lock_);
  vacant_ = nullptr;
  // relaxed: the child has one thread.
  for (count_ledger* l = all_.load(std::memory_order_relaxed); l != nullptr; l = l->next) {
    const mutator* const m = l->holder.load(std::memory_order_relaxed);
    if (m != nullptr && m == this_mutator()) continue;
    l->holder.store(nullptr, std::memory_order_relaxed);
    l->frames = nullptr;  // of fibers that are not there
    l->next_vacant = vacant_;
    vacant_ = l;
  }
}

}  // namespace heddle::gc::detail
