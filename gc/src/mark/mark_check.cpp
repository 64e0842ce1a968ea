// SPDX-License-Identifier: BSL-1.0
#include "mark/mark_check.hpp"

#include <algorithm>
#include <bit>
#include <cstdio>

namespace heddle::gc::detail {
namespace {

/// Finds the first word in an object that leads to an unmarked one; false: all is well.
bool find_missed(const kind& k, const char* object, std::size_t bytes, missed_mark& m) noexcept {
  const std::size_t elements = k.is_array ? bytes / k.element : 1;
  for (std::size_t e = 0; e != elements; ++e)
    for (std::size_t s = 0; s != k.slot_count; ++s) {
      const std::size_t offset = e * k.element + k.slots[s];
      const auto p = __atomic_load_n(reinterpret_cast<const std::uintptr_t*>(object + offset), __ATOMIC_RELAXED);
      const block target = the_regions.find(p);
      if (!target || target.is_marked()) continue;
      m = {&k, object, offset, target};
      return true;
    }
  return false;
}

void check_span(const span& s, missed_mark& m) noexcept {
  central& c = the_heap.of(*s.of);
  // A span of a cache has blocks that are marked, but hold what they held before.
  const heddle::detail::thread_lock hold(c.lock);
  if (s.in_cache) return;
  for (std::size_t w = 0; w != s.words(); ++w) {
    // A block that a thread gave back when it ended may have got a mark meanwhile: its old words do not count.
    std::uint64_t bits =
        s.marks()[w].load(std::memory_order_relaxed) & s.allocated()[w].load(std::memory_order_relaxed);
    for (; bits != 0 && m.of == nullptr; bits &= bits - 1) {
      const char* const object = s.block_at(w * 64 + static_cast<std::size_t>(std::countr_zero(bits)));
      find_missed(*s.of, object, s.block_bytes, m);
    }
  }
}

bool declares_addresses(const kind& k) noexcept { return k.how == walk::pattern || k.how == walk::slots; }

}  // namespace

missed_mark check_marks(std::size_t one_in, std::uint64_t seed, bool young) noexcept {
  missed_mark m;
  the_regions.for_each_region([&](region& r, std::uintptr_t) {
    for (std::size_t i = 0; i < region::pages && m.of == nullptr; i += one_in) {
      seed = seed * 6364136223846793005 + 1442695040888963407;  // D. Knuth's MMIX
      const std::size_t page = std::min(i + (seed >> 33) % one_in, region::pages - 1);
      // acquire: so that the span is seen; release half in region_table::add().
      const std::uint32_t tag = r.tags[page].load(std::memory_order_acquire);
      if (tag == 0 || !declares_addresses(the_kinds[tag >> 8])) continue;
      if (young && the_kinds[tag >> 8].has_plain) continue;
      const span& s = *r.spans[page];
      if (one_in != 1 && s.of->is_large()) continue;  // each of its pages would have all of it looked at
      if (one_in != 1 || region::page_of(reinterpret_cast<std::uintptr_t>(s.start)) == page) check_span(s, m);
    }
  });
  return m;
}

void report_missed(const missed_mark& m) noexcept {
  std::fprintf(stderr,
               "heddle: the collector's marks are not whole: %s at %p points, %zu bytes from its begin, to %s at %p, "
               "which is not marked; was that word written without gc::ptr?\n",
               m.of->name, static_cast<const void*>(m.object), m.offset, m.target.of->name,
               static_cast<const void*>(m.target.start));
}

}  // namespace heddle::gc::detail
