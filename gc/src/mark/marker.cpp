// SPDX-License-Identifier: BSL-1.0
#include "mark/marker.hpp"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstdlib>

#include "barrier/mutators.hpp"
#include "heap/cards.hpp"
#include "mark/word_filter.hpp"

#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#else
#define RUNNING_ON_VALGRIND 0
#define VALGRIND_MAKE_MEM_DEFINED(at, bytes) static_cast<void>(0)
#endif

namespace heddle::gc::detail {
namespace {

/// A word that its owner may change meanwhile, and that a sanitizer may count as nobody's: a stack is read as a whole.
__attribute__((no_sanitize("address", "thread"))) const void* word_at(const char* p) noexcept {
  return __atomic_load_n(reinterpret_cast<const void* const*>(p), __ATOMIC_RELAXED);
}

/// Under Valgrind a word that nobody has initialised, on a stack, would make all uninitialised that comes of it: marks,
/// and new objects.
[[gnu::noinline]] const void* initialised(const void* word) noexcept {
  VALGRIND_MAKE_MEM_DEFINED(&word, sizeof word);
  return *const_cast<const void* volatile*>(&word);
}

}  // namespace

void marker::end_without_memory() noexcept {
  std::fputs("heddle: out of memory: the collector cannot note what it has to go through\n", stderr);
  std::abort();
}

template <class Visit>
void marker::for_each_word(const void* from, const void* to, Visit visit) noexcept {
  const auto* p = static_cast<const char*>(from);
  const auto* const end = static_cast<const char*>(to);
  if (RUNNING_ON_VALGRIND) [[unlikely]]
    for (; p < end; p += sizeof(void*)) visit(initialised(word_at(p)));
  static const word_filter filter = best_word_filter();
  std::uintptr_t met[filtered_at_once];
  while (end - p >= std::ptrdiff_t{sizeof(void*)}) {
    const std::size_t count = std::min(static_cast<std::size_t>(end - p) / sizeof(void*), filtered_at_once);
    // A region that is added meanwhile has new objects only, which are marked.
    const auto [least, extent] = the_regions.bounds();
    const std::size_t found = filter(p, count, least, extent, met);
    for (std::size_t i = 0; i != found; ++i) visit(reinterpret_cast<const void*>(met[i]));
    p += count * sizeof(void*);
  }
}

void marker::words(const void* from, const void* to) noexcept {
  for_each_word(from, to, [this](const void* p) { visit_root(p); });
}

/// While an object is made, an address of it is on a stack. It may be old when the cycle is over, and change untold.
void marker::visit_root(const void* p) noexcept {
  const block b = the_regions.find(reinterpret_cast<std::uintptr_t>(p));
  if (!b || !b.is_allocated()) return;
  if (b.of->has_plain && the_cards.has_begun()) [[unlikely]] {
    the_cards.write(b.start, b.start + (b.of->is_large() ? the_regions.span_of(b.start)->block_bytes : b.of->size));
    wants_again_ = true;
  }
  if (the_heap.bears() && b.is_born()) wants_again_ = true;
  meet(b);
}

/// Of an old object, in which perhaps a word stands that nobody has told of. Most lead to old ones.
void marker::visit_young(const void* p) noexcept {
  if (const block b = the_regions.find(reinterpret_cast<std::uintptr_t>(p)); b && !b.is_marked() && b.is_allocated())
    meet(b);
}

void marker::look_again(const kind& k, const char* object, std::size_t bytes, const char* from,
                        const char* to) noexcept {
  switch (k.how) {
    case walk::pattern:
    case walk::slots: {
      const std::size_t elements = k.is_array ? bytes / k.element : 1;
      const std::size_t first = from <= object ? 0 : static_cast<std::size_t>(from - object) / k.element;
      for (std::size_t e = first; e < elements && object + e * k.element < to; ++e)
        for (std::size_t s = 0; s != k.slot_count; ++s)
          if (const char* const at = object + e * k.element + k.slots[s]; at >= from && at < to)
            visit_young(word_at(at));
      break;
    }
    case walk::conservative:
      for_each_word(std::max(from, object), std::min(to, object + bytes), [this](const void* p) { visit_young(p); });
      break;
    case walk::ephemeron: scan_ephemeron(object); break;
    case walk::weak:
    case walk::none: break;
  }
}

void marker::visit_all(const shade_buffer& b) noexcept {
  reach_from("a store while the collector marked");
  constexpr std::size_t at_once = 30;  // their words of bits are fetched together
  std::array<block, at_once> of;
  for (std::size_t i = 0; i < b.count; i += at_once) {
    const std::size_t n = std::min(at_once, b.count - i);
    for (std::size_t k = 0; k != n; ++k) {
      of[k] = the_regions.find(reinterpret_cast<std::uintptr_t>(b.addresses[i + k]));
      if (!of[k]) continue;
      __builtin_prefetch(&of[k].mark_word());
      __builtin_prefetch(&of[k].allocated_word());
    }
    for (std::size_t k = 0; k != n; ++k)
      if (of[k] && !of[k].is_marked() && of[k].is_allocated()) mark(of[k]);
  }
}

bool marker::drain(std::size_t steps) noexcept {
  std::size_t head = 0;
  std::size_t count = 0;
  const std::size_t begin = marked_;
  for (std::size_t scanned = 0;; ++scanned) {
    if (scanned + (marked_ - begin) >= steps) break;
    while (count != window && !waiting_.empty()) {
      const item i = waiting_.pop();
      __builtin_prefetch(reinterpret_cast<const void*>(i & ((item{1} << kind_shift) - 1)));
      window_[(head + count++) % window] = i;
    }
    if (count == 0) {
      if (met_count_ == 0) break;
      mark_met();
      continue;
    }
    const item i = window_[head];
    head = (head + 1) % window;
    --count;
    scan(i);
  }
  while (count != 0) push(window_[(head + --count) % window]);
  settle();
  return waiting_.empty();
}

void marker::scan(item i) noexcept {
  const kind& k = the_kinds[i >> kind_shift];
  const auto* const start = reinterpret_cast<const char*>(i & ((item{1} << kind_shift) - 1));
  if (k.is_large()) return scan_large(start, k);
  if (trail_ != nullptr) [[unlikely]]
    from_ = {nullptr, start};
  if (pending.watching()) [[unlikely]]
    reached(start);
  switch (k.how) {
    case walk::pattern:
      for (std::uint64_t bits = k.pattern; bits != 0; bits &= bits - 1)
        visit(word_at(start + sizeof(void*) * static_cast<std::size_t>(std::countr_zero(bits))));
      break;
    case walk::slots: scan_slots(start, k.size, k); break;
    case walk::conservative: scan_words(start, k.size); break;
    case walk::ephemeron: helps_ ? leave_to_collector(i) : scan_ephemeron(start); break;
    case walk::weak:
    case walk::none: break;
  }
}

/// An object of a span of its own, from `at` on: a piece, and the rest waits again.
void marker::scan_large(const char* at, const kind& k) noexcept {
  const span& s = *the_regions.span_of(at);
  const auto left = static_cast<std::size_t>(s.start + s.block_bytes - at);
  if (trail_ != nullptr) [[unlikely]]
    from_ = {nullptr, s.start};
  if (pending.watching() && at == s.start) [[unlikely]]
    reached(at);
  if (k.how == walk::none) return;
  // Whole elements. An object that is no array is one; a piece has at least one.
  const std::size_t unit = k.how == walk::conservative ? sizeof(void*) : k.element;
  const std::size_t step =
      !k.is_array && k.how != walk::conservative ? left : std::max(large_step / unit, std::size_t{1}) * unit;
  const std::size_t bytes = std::min(step, left);
  if (bytes < left) push(item_of(at + bytes, k));
  marked_bytes_ += bytes;
  if (k.how == walk::conservative)
    scan_words(at, bytes);
  else
    scan_slots(at, bytes, k);
}

void marker::scan_words(const char* at, std::size_t bytes) noexcept {
  for_each_word(at, at + bytes, [this](const void* p) { visit_if_allocated(p); });
}

void marker::scan_slots(const char* at, std::size_t bytes, const kind& k) noexcept {
  const std::size_t elements = k.is_array ? bytes / k.element : 1;
  for (std::size_t e = 0; e != elements; ++e, at += k.element)
    for (std::size_t s = 0; s != k.slot_count; ++s) visit(word_at(at + k.slots[s]));
}

// --- work for others ------------------------------------------------------------------------------------------------

work_packet& marker::make_packet() noexcept {
  work_packet* const p = work_share::make();
  if (p == nullptr) end_without_memory();
  return *p;
}

void marker::give_packet() noexcept {
  work_packet& p = make_packet();
  p.count = waiting_.pop_many(p.items, work_packet::capacity);
  work_share::put(p);
}

void marker::give_older_half() noexcept {
  work_packet& p = make_packet();
  p.count = waiting_.take_older_half(p.items, work_packet::capacity);
  work_share::put(p);
}

void marker::offer() noexcept {
  while (the_work_share.wants_more() && waiting_.has_more_than(kept))
    waiting_.has_more_than(2 * work_packet::capacity) ? give_packet() : give_older_half();
}

void marker::settle() noexcept {
  mark_met();
  set_marks();
  word_ = nullptr;  // what is known of it is old at the next time
}

void marker::give_all() noexcept {
  settle();  // a buffer may have been gone through since drain()
  while (!waiting_.empty()) give_packet();
}

bool marker::take() noexcept {
  work_packet* const p = work_share::take();
  if (p == nullptr) return take_buffer();
  take_out_of(*p);
  return true;
}

void marker::take_out_of(work_packet& p) noexcept {
  for (std::size_t i = 0; i != p.count; ++i) push(p.items[i]);
  work_share::recycle(p);
}

/// Marks what a mutator has told of. True: there was a buffer.
bool marker::take_buffer() noexcept {
  shade_buffer* const b = mutators::take_full();
  if (b == nullptr) return false;
  visit_all(*b);
  mutators::recycle(*b);
  return true;
}

void marker::leave_to_collector(item i) noexcept {
  work_packet& p = make_packet();
  p.items[p.count++] = i;
  work_share::put_aside(p);
}

bool marker::take_aside() noexcept {
  work_packet* const p = work_share::take_aside();
  if (p == nullptr) return false;
  take_out_of(*p);
  return true;
}

// --- ephemerons -----------------------------------------------------------------------------------------------------

void marker::scan_ephemeron(const char* start) noexcept {
  auto& c = *reinterpret_cast<ephemeron_cell*>(const_cast<char*>(start));
  const void* const key = word_at(reinterpret_cast<const char*>(&c.key));
  const block of_key = the_regions.find(reinterpret_cast<std::uintptr_t>(key));
  if (of_key && !of_key.is_marked() && pending.add(c, of_key)) return;
  if (key != nullptr) visit(word_at(reinterpret_cast<const char*>(&c.value)));
}

void marker::go_through_ephemerons() noexcept {
  if (!pending.watch()) end_without_memory();
  pending.for_each_left([this](ephemeron_cell& c) {
    const block key =
        the_regions.find(reinterpret_cast<std::uintptr_t>(word_at(reinterpret_cast<const char*>(&c.key))));
    if (key && key.is_marked()) reached(key.start);
  });
  drain();
}

/// Cells that waited for this object keep their values now.
void marker::reached(const char* start) noexcept {
  pending.for_each_of(start, [this](ephemeron_cell& c) { visit(word_at(reinterpret_cast<const char*>(&c.value))); });
}

}  // namespace heddle::gc::detail
