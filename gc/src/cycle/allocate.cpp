// SPDX-License-Identifier: BSL-1.0
//
// Memory for objects.
#include <algorithm>
#include <new>
#include <utility>

#include "barrier/mutators.hpp"
#include "cycle/begin_heap.hpp"
#include "cycle/collector.hpp"
#include "cycle/fork.hpp"
#include "cycle/help.hpp"
#include "cycle/misplaced.hpp"
#include "heddle/this_fiber.hpp"
#include "pace/options.hpp"
#include "reclaim/back_pressure.hpp"
#include "roots/globals.hpp"

namespace heddle::gc::detail {
namespace {

/// A mutator tells the pacer of its allocations when they have come to so much.
constexpr std::size_t noted_at_once = std::size_t{32} << 10;
/// While the collector marks: more often, so that each time there is little to help with.
constexpr std::size_t noted_while_marking = std::size_t{4} << 10;

/// True: a cycle is due.
bool tell_pacer(mutator& m) noexcept {
  const heddle::detail::nanoseconds_t now = heddle::detail::platform::now();
  // Time before a thread's first allocation does not count.
  const heddle::detail::nanoseconds_t took = m.noted_at == 0 ? 0 : now - m.noted_at;
  m.noted_at = now;
  return the_pacer().note(std::exchange(m.taken, 0), took);
}

/// Marking and waiting are not allocating.
void do_not_count_time() noexcept {
  const critical_call inside;
  inside.self().noted_at = heddle::detail::platform::now();
}

/// The thread is about to take more memory. If the collector marks, it helps with that first, by what it has taken so
/// far.
void pay_for_marking() noexcept {
  {
    const critical_call inside;
    if (!inside.marking()) return;
    mutator& m = inside.self();
    if (m.taken < noted_while_marking) return;
    tell_pacer(m);
  }
  help_to_mark();
  do_not_count_time();
}

/// Called when the thread is in no function of the collector any more.
void heed_pace(bool is_due) noexcept {
  if (!is_due) return;
  if (await_endings(the_collector.totals().live)) do_not_count_time();
  the_collector.start();
  the_collector.request();
}

/// Allocation waits if it is too far ahead of the collector. As long as there is something to mark, the thread does
/// that.
void heed_debt() noexcept {
  if (!the_pacer().overdrawn()) return;
  while (the_pacer().overdrawn() && help_to_end()) heddle::this_fiber::yield();
  the_collector.wait_while_overdrawn();
  do_not_count_time();
}

/// One attempt. `is_due` becomes whether a cycle is.
void* try_to_allocate(const kind& k, std::size_t bytes, bool& is_due) noexcept {
  const critical_call inside;
  mutator& m = inside.self();
  void* p = k.is_large() ? cache::make_large(k, bytes, inside.marking()) : m.blocks.pop(k.number);
  if (p == nullptr && !k.is_large() && m.blocks.refill(k, inside.marking(), m.taken)) p = m.blocks.pop(k.number);
  if (k.is_large() && p != nullptr) m.taken += bytes;
  if (m.taken >= noted_at_once) is_due = tell_pacer(m);
  return p;
}

/// A cycle before each n-th allocation. With generations three of four are young.
void stress(std::size_t n) noexcept {
  static atomic<std::size_t> allocations{0};
  const std::size_t before = allocations.fetch_add(1, std::memory_order_relaxed);
  if (before % n != n - 1) return;
  before / n % 4 == 3 ? the_collector.collect() : the_collector.collect_young();
}

bool over_limit() noexcept {
  const std::size_t most = the_pacer().limit();
  return most != 0 && the_heap.in_spans() > most;
}

[[gnu::noinline]] void* allocate_slowly(kind_number number, std::size_t bytes) {
  if (number == 0) throw std::bad_alloc();
  const kind& k = the_kinds[number];
  if (const std::size_t n = the_options().stress; n != 0) [[unlikely]]
    stress(n);
  pay_for_marking();
  heed_debt();
  for (int attempt = 0;; ++attempt) {
    bool is_due = false;
    void* const p = try_to_allocate(k, bytes, is_due);
    if (p != nullptr && !(is_due && over_limit())) {
      heed_pace(is_due);
      return p;
    }
    if (attempt == 2) throw std::bad_alloc();
    the_collector.collect();
  }
}

}  // namespace

bool begin_heap() noexcept {
  static const bool began = [] {
    if (!the_heap.begin(the_options().stress != 0 || the_options().check, the_options().stress != 0)) return false;
    heed_forks();
    leave_out(&the_regions, sizeof the_regions);
    leave_out(&the_collector, sizeof the_collector);
    if (the_options().misplaced) look_for_misplaced();
    if (the_collector.is_generational()) the_collector.set_generational(true);
    return true;
  }();
  return began;
}

[[gnu::noinline]] static void* allocate_first(type_handle& t) {
  if (!begin_heap()) throw std::bad_alloc();
  return allocate_slowly(the_kinds.of_objects(t), t.description->size);
}

void* allocate(type_handle& t) {
  // acquire: so that the kind is seen; release half in kind_table::of_objects().
  const auto number = static_cast<kind_number>(t.of_objects.load(std::memory_order_acquire));
  {
    const critical_call inside;
    if (void* const p = inside.self().blocks.pop(number); p != nullptr) [[likely]]
      return p;
  }
  return number != 0 ? allocate_slowly(number, t.description->size) : allocate_first(t);
}

void* allocate_array(type_handle& element, std::size_t n) {
  const std::size_t size = element.description->size;
  if (n > (std::size_t{1} << 40) / size) throw std::bad_array_new_length();
  // An array with destructors ends with a word that holds its length.
  const bool counts = element.description->destroy != nullptr;
  const std::size_t bytes = n * size + (counts ? sizeof(std::size_t) : 0);
  if (!begin_heap()) throw std::bad_alloc();
  void* const p = allocate_slowly(the_kinds.of_arrays(element, bytes), bytes);
  if (counts) {
    const object_extent e = extent_of(p);
    *reinterpret_cast<std::size_t*>(static_cast<char*>(e.start) + e.bytes - sizeof(std::size_t)) = n;
  }
  return p;
}

object_extent extent_of(const void* p) noexcept {
  const block b = the_regions.find(reinterpret_cast<std::uintptr_t>(p));
  if (!b || !b.is_allocated()) return {nullptr, 0};
  return {b.start, b.of->is_large() ? the_regions.span_of(p)->block_bytes : b.of->size};
}

namespace {

/// The word of constructed objects and the bit of the one at p; null: its type has no destructor.
bit_word* constructed_word(const void* p, std::uint64_t& mask) noexcept {
  const block b = the_regions.find(reinterpret_cast<std::uintptr_t>(p));
  if (!b) return nullptr;
  const span& s = *the_regions.span_of(p);
  if (s.constructed == nullptr) return nullptr;
  const std::size_t index = b.bit - s.first * region::words_per_page * 64;
  mask = std::uint64_t{1} << index % 64;
  return &s.constructed[index / 64];
}

}  // namespace

void constructed(void* object) noexcept {
  std::uint64_t mask = 0;
  // release: so that the destructor sees the object as it was constructed. acquire half: before the object is found
  // dead the collector has scanned this thread's stack (suspension::stop()), or the fiber's.
  if (bit_word* const w = constructed_word(object, mask); w != nullptr) w->fetch_or(mask, std::memory_order_release);
}

void destroyed(void* object) noexcept {
  std::uint64_t mask = 0;
  if (bit_word* const w = constructed_word(object, mask); w != nullptr) w->fetch_and(~mask, std::memory_order_relaxed);
}

// --- cells ----------------------------------------------------------------------------------------------------------

namespace {

/// Whether the object that p points into is being destroyed. Its destructor is not to run any more then: that costs
/// objects which are whole no lock.
bool is_ending(const void* p) noexcept {
  std::uint64_t mask = 0;
  const bit_word* const w = constructed_word(p, mask);
  return w != nullptr && (w->load(std::memory_order_relaxed) & mask) == 0 && the_endings().is_ending(p);
}

}  // namespace

weak_cell* make_weak(const void* p) {
  if (!begin_heap()) throw std::bad_alloc();
  if (is_ending(p)) p = nullptr;
  auto* const c = static_cast<weak_cell*>(allocate_slowly(the_weak_cells.weak_kind(), sizeof(weak_cell)));
  // release: so that the object is seen with its address, as in store(); acquire half in load(), of the cell's address.
  __atomic_store_n(&c->target, const_cast<void*>(p), __ATOMIC_RELEASE);
  return c;
}

void* lock(weak_cell& c) noexcept { return the_weak_cells.address_in(c.target); }

ephemeron_cell* make_ephemeron(const void* key, void* value) {
  if (!begin_heap()) throw std::bad_alloc();
  auto* const c =
      static_cast<ephemeron_cell*>(allocate_slowly(the_weak_cells.ephemeron_kind(), sizeof(ephemeron_cell)));
  // The cell may be black. Then the marker does not go through it in this cycle.
  store_first(&c->value, value);
  store_first(&c->key, const_cast<void*>(key));
  return c;
}

void* key_of(ephemeron_cell& c) noexcept { return the_weak_cells.address_in(c.key); }
void* value_of(ephemeron_cell& c) noexcept { return the_weak_cells.address_in(c.value); }
void set_value(ephemeron_cell& c, void* value) noexcept { store(&c.value, value); }

// --- slots of several threads, cleanups -----------------------------------------------------------------------------

void* exchange(void** slot, void* value) noexcept {
  const critical_call inside;
  note_store(slot);
  void* const old = __atomic_exchange_n(slot, value, __ATOMIC_SEQ_CST);  // as std::atomic's
  if (inside.marking()) {
    mutators::push(inside.self(), old);
    if (inside.inserting()) mutators::push(inside.self(), value);
  }
  return old;
}

bool compare_exchange(void** slot, void*& expected, void* desired) noexcept {
  const critical_call inside;
  void* const old = expected;
  note_store(slot);
  // seq_cst, both: as std::atomic's.
  if (!__atomic_compare_exchange_n(slot, &expected, desired, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) return false;
  if (inside.marking()) {
    mutators::push(inside.self(), old);
    if (inside.inserting()) mutators::push(inside.self(), desired);
  }
  return true;
}

std::uint64_t add_cleanup(const void* object, void (*f)(void*), void* argument) {
  return the_endings().add_cleanup(object, f, argument);
}
bool cancel_cleanup(std::uint64_t number) noexcept { return the_endings().cancel_cleanup(number); }

}  // namespace heddle::gc::detail
