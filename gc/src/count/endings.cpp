// SPDX-License-Identifier: BSL-1.0
#include "count/endings.hpp"

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "count/search.hpp"
#include "count/weak_table.hpp"
#include "heddle/detail/wait.hpp"

namespace heddle::gc::detail {

namespace platform = heddle::detail::platform;

// --- counts
// -----------------------------------------------------------------------------------------------------------

namespace {

constexpr std::int32_t most_shared = (1 << 26) - 1;

[[noreturn]] void end_with_too_many(const count_header& h) noexcept {
  std::fprintf(stderr, "heddle: more than %d references to the counted object at %p\n", most_shared,
               static_cast<const void*>(&h + 1));
  std::abort();
}

/// The object has lost a reference and lives.
void note(count_header& h, count_ledger& here, ended& e) noexcept {
  here.note(h);
  if (here.candidates.count() >= the_search.wanted()) e.search = true;
}

/// The owner's last reference ends while others have some, or there are weak ones.
void end_ownership(count_header& h, std::uint32_t w, count_ledger& here, ended& e) noexcept {
  // Before the count below: a thread that sees `merged` there finds nobody's name here. Afterwards the object may be
  // gone.
  const std::uint32_t nobodys = local_bits::merged | (w & local_bits::noted);
  if (!HEDDLE_PLANTED(count_merges_late)) h.local.store(nobodys, std::memory_order_relaxed);
  std::uint32_t old = h.shared.load(std::memory_order_relaxed);
  std::uint32_t next = 0;
  const bool is_noted = (w & local_bits::noted) != 0;
  do {
    next = old | shared_bits::merged;
    if (!is_noted && shared_bits::count(old) != 0) next |= shared_bits::noted;
    // release: so that what we have written to the object stays before its end, which somebody else may see to;
    // acquire: so that what others have written is seen if we do.
  } while (!h.shared.compare_exchange_weak(old, next, std::memory_order_acq_rel, std::memory_order_relaxed));
  if (HEDDLE_PLANTED(count_merges_late)) h.local.store(nobodys, std::memory_order_relaxed);
  if (shared_bits::count(next) == 0) return end_references(h, here, e);
  if (!is_noted && (old & shared_bits::noted) == 0) note(h, here, e);
}

void drop_mine(count_header& h, std::uint32_t w, count_ledger& here, ended& e) noexcept {
  if ((w & local_bits::count) != local_bits::one) {
    if ((w & local_bits::noted) == 0) note(h, here, e);
    h.local.store((w | local_bits::noted) - local_bits::one, std::memory_order_relaxed);
    return;
  }
  // acquire: so that what others have done to the object is seen; their halves are the releases of their drops. A count
  // that is not seen here belongs to a reference that the caller's makes impossible: all others are counted here, too.
  const auto order = HEDDLE_PLANTED(count_last_relaxed) ? std::memory_order_relaxed : std::memory_order_acquire;
  if ((h.shared.load(order) & ~shared_bits::noted) == 0) return e.dead.push(h);
  end_ownership(h, w, here, e);
}

/// The shared word after one of its references has ended; `queues` becomes whether that one goes to the owner's queue
/// instead: the count would fall below zero, and only the owner knows whether that was the last one.
std::uint32_t without_one(std::uint32_t old, bool is_noted, bool& queues) noexcept {
  const std::int32_t left = shared_bits::count(old) - 1;
  queues = (old & (shared_bits::merged | shared_bits::queued)) == 0 && left < 0;
  if (queues) return old | shared_bits::queued;
  const bool is_last = (old & shared_bits::merged) != 0 && left == 0;
  return (old - shared_bits::one) | (is_noted || is_last ? 0 : shared_bits::noted);
}

void drop_shared(count_header& h, std::uint32_t w, count_ledger& here, ended& e) noexcept {
  std::uint32_t old = h.shared.load(std::memory_order_relaxed);
  std::uint32_t next = 0;
  bool queues = false;
  const bool is_noted = (w & local_bits::noted) != 0;
  for (;;) {
    next = without_one(old, is_noted, queues);
    if (queues && (w & local_bits::owner) == local_bits::merged) {
      // The owner is between the two words in end_ownership().
      platform::cpu_relax();
      old = h.shared.load(std::memory_order_relaxed);
      continue;
    }
    // release: so that what we have written to the object stays before its end; acquire: so that what others have
    // written is seen if we see to that.
    const auto order = HEDDLE_PLANTED(count_drops_relaxed) ? std::memory_order_relaxed : std::memory_order_acq_rel;
    if (h.shared.compare_exchange_weak(old, next, order, std::memory_order_relaxed)) break;
  }
  if (queues) {
    count_ledger& to = the_ledgers.of(w);
    if (to.hand_over(h)) e.to_settle = &to;
    return;
  }
  if (shared_bits::count(next) < -most_shared) end_with_too_many(h);
  if ((next & shared_bits::merged) != 0 && shared_bits::count(next) == 0) return end_references(h, here, e);
  if (!is_noted && (old & shared_bits::noted) == 0) note(h, here, e);
}

}  // namespace

void add_inside(count_header& h, count_ledger& here) noexcept {
  const std::uint32_t w = h.local.load(std::memory_order_relaxed);
  std::uint32_t more = shared_bits::one;
  if ((w & local_bits::owner) == here.owner()) {
    const bool is_full = (w & local_bits::count) >= local_bits::most;
    h.local.store(w + local_bits::one - (is_full ? local_bits::most / 2 : 0), std::memory_order_relaxed);
    if (!is_full) return;
    more = local_bits::most / 2 * shared_bits::one;
  }
  // relaxed: the caller has a reference, so this needs no order with anything.
  const std::uint32_t old = h.shared.fetch_add(more, std::memory_order_relaxed);
  if (shared_bits::count(old) > most_shared - static_cast<std::int32_t>(local_bits::most)) end_with_too_many(h);
}

void end_references(count_header& h, count_ledger& here, ended& e) noexcept {
  if ((h.shared.load(std::memory_order_relaxed) & shared_bits::weak) != 0)
    if (count_header* const cell = the_weak_table.forget(h); cell != nullptr) drop_inside(*cell, here, e);
  e.dead.push(h);
}

void drop_inside(count_header& h, count_ledger& here, ended& e) noexcept {
  const std::uint32_t w = h.local.load(std::memory_order_relaxed);
  if ((w & local_bits::owner) == here.owner()) [[likely]] {
    drop_mine(h, w, here, e);
  } else {
    drop_shared(h, w, here, e);
  }
}

// --- the ends of objects
// ----------------------------------------------------------------------------------------------

std::size_t& length_of(count_header& h, const count_span& s) noexcept {
  char* const block = object_of(&h) - s.of->count_header_bytes();
  return *reinterpret_cast<std::size_t*>(block + s.block_bytes - sizeof(std::size_t));
}

namespace {

/// As much is done inside at a time.
constexpr unsigned most_inside = 256;

/// Whether the reference that ends is the last one, and the owner's, and nobody else has ever had one, or no longer.
[[gnu::always_inline]] inline bool ends_alone(const count_header& h, std::uint32_t base) noexcept {
  // acquire: so that what others have written is seen; release halves in their drops.
  return ((h.local.load(std::memory_order_relaxed) ^ base) & ~local_bits::noted) == 0 &&
         (h.shared.load(std::memory_order_acquire) & ~shared_bits::noted) == 0;
}

/// References of dead objects that are about to be dropped: their memory is fetched while others are dropped.
class pending_drops {
 public:
  pending_drops(count_ledger& here, ended& e) noexcept : here_(here), e_(e) {}
  ~pending_drops() {
    while (count_ != 0) drop_inside(*of_[--count_], here_, e_);
  }
  pending_drops(const pending_drops&) = delete;
  pending_drops& operator=(const pending_drops&) = delete;

  void push(count_header* h) noexcept {
    __builtin_prefetch(h, 1);
    if (count_ == room) [[unlikely]]
      return drop_inside(*h, here_, e_);
    of_[count_++] = h;
  }
  /// Drops until one dies of it, which it returns; else the next one of the dead list; null: there is none.
  count_header* next_dead(std::uint32_t base) noexcept {
    while (count_ != 0) {
      count_header* const h = of_[--count_];
      if (ends_alone(*h, base)) return h;
      drop_inside(*h, here_, e_);
    }
    return e_.dead.empty() ? nullptr : e_.dead.pop();
  }

 private:
  static constexpr std::size_t room = 64;
  count_header* of_[room];
  std::size_t count_ = 0;
  count_ledger& here_;
  ended& e_;
};

/// Destroys what needs no code of the program. Returns an object that does, whose counted pointers have been dropped if
/// its members end one by one; or null.
count_header* destroy_inside(ended& e) noexcept {
  const critical_call inside;
  count_ledger& here = ledger_here();
  const std::uint32_t base = here.base();
  pending_drops drops(here, e);
  std::uintptr_t page = 0;
  count_span* s = nullptr;
  for (unsigned i = 0; i != most_inside && !e.has_errands(); ++i) {
    count_header* const h = drops.next_dead(base);
    if (h == nullptr) return nullptr;
    if (const std::uintptr_t at = reinterpret_cast<std::uintptr_t>(h) >> page_shift; at != page) {
      page = at;
      s = &span_around(h);
    }
    const auto ending = static_cast<count_ending>(s->of->count_ending());
    if (ending != count_ending::object)
      for_each_count_slot(*h, *s, [&](count_slot& slot) {
        const std::uintptr_t word = slot.load(std::memory_order_relaxed);
        if (word == 0) return;
        if (ending == count_ending::members) slot.store(0, std::memory_order_relaxed);
        drops.push(header_in(word));
      });
    if (ending != count_ending::slots) {
      h->shared.store(shared_bits::dead, std::memory_order_relaxed);
      return h;
    }
    if (s->holder != &here || s->used <= 1) page = 0;  // the span may be gone afterwards
    here.put(object_of(h), *s, e);
  }
  return nullptr;
}

/// Fibers that are destroying objects are found by their ledger.
void begin_frame(ending_frame& f) noexcept {
  const critical_call inside;
  f.in = &ledger_here();
  f.next = f.in->frames;
  f.in->frames = &f;
}

void unlink(count_ledger& l, const ending_frame* f) noexcept {
  ending_frame** p = &l.frames;
  while (*p != f) p = &(*p)->next;
  *p = f->next;
}

void end_frame(ending_frame& f) noexcept {
  {
    const critical_call inside;
    if (f.in == &ledger_here()) return unlink(*f.in, &f);
  }
  // The fiber has moved to another thread meanwhile.
  the_ledgers.act(
      *f.in, [](count_ledger& l, void* frame) { unlink(l, static_cast<ending_frame*>(frame)); }, &f);
}

/// Calls the destructor, which may do anything, and frees the memory.
void destroy_outside(count_header& h, ended& e) noexcept {
  count_span& s = span_around(&h);
  const kind& k = *s.of;
  ending_frame frame{heddle::detail::caller(), e.dead};
  begin_frame(frame);
  char* const object = object_of(&h);
  for (std::size_t n = k.is_array ? length_of(h, s) : 1; n-- != 0;) k.destroy(object + n * k.element);
  end_frame(frame);
  const critical_call inside;
  ledger_here().put(object, s, e);
}

void do_errands(ended& e) noexcept {
  if (std::exchange(e.search, false)) the_search.heed_candidates();
  if (count_ledger* const l = std::exchange(e.to_settle, nullptr); l != nullptr) the_ledgers.settle(*l, e);
}

/// Whether a function further up on the same stack destroys them.
bool leave_to_frame(dead_list& dead) noexcept {
  const critical_call inside;
  ending_frame* f = ledger_here().frames;
  if (f == nullptr) [[likely]]
    return false;
  const void* const me = heddle::detail::caller();
  while (f != nullptr && f->fiber != me) f = f->next;
  if (f == nullptr) return false;
  while (!dead.empty()) f->dead.push(*dead.pop());
  return true;
}

}  // namespace

void destroy_all(ended& e) noexcept {
  for (;;) {
    if (e.has_errands()) do_errands(e);
    if (e.dead.empty()) return;
    if (leave_to_frame(e.dead)) continue;
    if (count_header* const h = destroy_inside(e); h != nullptr) destroy_outside(*h, e);
  }
}

// --- for the public headers
// -------------------------------------------------------------------------------------------

void begin_here() noexcept {
  if (this_mutator() == nullptr || this_mutator()->ledger == nullptr) [[unlikely]]
    the_ledgers.begin_counting();
}

void add_slowly(count_header& h) noexcept {
  begin_here();
  const critical_call inside;
  add_inside(h, ledger_here());
}

[[gnu::noinline]] void drop_slowly(count_header& h) noexcept {
  begin_here();
  ended e;
  {
    const critical_call inside;
    count_ledger& here = ledger_here();
    drop_inside(h, here, e);
    if (here.has_mail()) [[unlikely]]
      here.settle(e);
  }
  if (!e.is_over()) destroy_all(e);
}

void move_slowly(count_slot& to, count_slot& from) noexcept {
  begin_here();
  const critical_call inside;
  to.store(from.load(std::memory_order_relaxed), std::memory_order_relaxed);
  from.store(0, std::memory_order_relaxed);
}

void replace_slowly(count_slot& to, std::uintptr_t word) noexcept {
  begin_here();
  std::uintptr_t old = 0;
  {
    const critical_call inside;
    old = to.load(std::memory_order_relaxed);
    to.store(word, std::memory_order_relaxed);
  }
  if (old != 0) drop_slowly(*header_in(old));
}

namespace {

bool leads_somewhere(count_header& h) noexcept {
  bool does = false;
  for_each_count_slot(h, span_around(&h),
                      [&](count_slot& slot) { does = does || slot.load(std::memory_order_relaxed) != 0; });
  return does;
}

/// Inside: a reference is about to be moved to a place. If that is in a counted object, it may be the last one from
/// outside of a cycle. An object that leads nowhere is in none, unless the place is in itself.
void note_move(const count_slot& to, std::uintptr_t word, count_ledger& here, ended& e) noexcept {
  if (word == 0 || HEDDLE_PLANTED(count_moves_unnoted)) return;
  const kind* k = nullptr;
  char* const container = the_regions.counted_block_around(&to, k);
  if (container == nullptr) return;
  count_header& h = *header_in(word);
  const std::uint32_t w = h.local.load(std::memory_order_relaxed);
  if ((w & local_bits::noted) != 0 || (header_at(*k, container) != &h && !leads_somewhere(h))) return;
  if ((w & local_bits::owner) == here.owner()) {
    h.local.store(w | local_bits::noted, std::memory_order_relaxed);
  } else if ((h.shared.fetch_or(shared_bits::noted, std::memory_order_relaxed) & shared_bits::noted) != 0) {
    return;  // relaxed: the flag orders nothing; searches look at it when no thread is here
  }
  note(h, here, e);
}

}  // namespace

void move_over_slowly(count_slot& to, count_slot& from) noexcept {
  begin_here();
  ended e;
  {
    const critical_call inside;
    count_ledger& here = ledger_here();
    const std::uintptr_t old = to.load(std::memory_order_relaxed);
    note_move(to, from.load(std::memory_order_relaxed), here, e);
    to.store(from.load(std::memory_order_relaxed), std::memory_order_relaxed);
    from.store(0, std::memory_order_relaxed);
    if (old != 0) drop_inside(*header_in(old), here, e);
  }
  if (!e.is_over()) destroy_all(e);
}

void exchange_slowly(count_slot& a, count_slot& b) noexcept {
  begin_here();
  ended e;
  {
    const critical_call inside;
    count_ledger& here = ledger_here();
    const std::uintptr_t of_a = a.load(std::memory_order_relaxed), of_b = b.load(std::memory_order_relaxed);
    note_move(a, of_b, here, e);
    note_move(b, of_a, here, e);
    a.store(of_b, std::memory_order_relaxed);
    b.store(of_a, std::memory_order_relaxed);
  }
  if (!e.is_over()) destroy_all(e);
}

long references_to(const count_header& h) noexcept {
  const std::uint32_t w = h.local.load(std::memory_order_relaxed);
  const std::uint32_t s = h.shared.load(std::memory_order_relaxed);
  // One that waits for the owner is over for the program.
  return shared_bits::count(s) - ((s & shared_bits::queued) != 0 ? 1 : 0) + static_cast<long>(w & local_bits::count);
}

#if defined(HEDDLE_GC_PLAIN_BARRIER) || (defined(HEDDLE_MODEL) && HEDDLE_MODEL)
void begin_count() noexcept {
  words().critical.store(1, std::memory_order_relaxed);
  platform::light_barrier();  // the store above before the load of the base; heavy half in mutators::close()
}
std::uint32_t count_base_here() noexcept {
  // acquire: so that what was done to counts meanwhile is seen; release half in mutators::open().
  return words().count_base.load(std::memory_order_acquire);
}
void end_count() noexcept { words().leave(); }
count_shelf* shelves_here() noexcept { return words().shelves; }
#endif

}  // namespace heddle::gc::detail
