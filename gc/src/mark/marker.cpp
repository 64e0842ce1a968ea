// SPDX-License-Identifier: BSL-1.0
#include "mark/marker.hpp"

#include <bit>
#include <cstdio>
#include <cstdlib>

namespace heddle::gc::detail {
namespace {

/// A word that its owner may change meanwhile, and that a sanitizer may count as nobody's: a stack is read as a whole.
__attribute__((no_sanitize("address", "thread"))) const void* word_at(const char* p) noexcept {
  return __atomic_load_n(reinterpret_cast<const void* const*>(p), __ATOMIC_RELAXED);
}

}  // namespace

void marker::end_without_memory() noexcept {
  std::fputs("heddle: out of memory: the collector cannot note what it has to go through\n", stderr);
  std::abort();
}

void marker::words(const void* from, const void* to) noexcept {
  const auto* p = static_cast<const char*>(from);
  for (const auto* const end = static_cast<const char*>(to); p < end; p += sizeof(void*))
    visit_if_allocated(word_at(p));
}

void marker::drain() noexcept {
  std::size_t head = 0;
  std::size_t count = 0;
  for (;;) {
    while (count != window && !waiting_.empty()) {
      const item i = waiting_.pop();
      __builtin_prefetch(reinterpret_cast<const void*>(i & ((item{1} << kind_shift) - 1)));
      window_[(head + count++) % window] = i;
    }
    if (count == 0) return;
    const item i = window_[head];
    head = (head + 1) % window;
    --count;
    scan(i);
  }
}

void marker::scan(item i) noexcept {
  const kind& k = the_kinds[i >> kind_shift];
  const auto* const start = reinterpret_cast<const char*>(i & ((item{1} << kind_shift) - 1));
  if (trail_ != nullptr) [[unlikely]]
    from_ = {nullptr, start};
  if (pending.watching()) [[unlikely]]
    reached(start);
  switch (k.how) {
    case walk::pattern:
      for (std::uint64_t bits = k.pattern; bits != 0; bits &= bits - 1)
        visit(word_at(start + sizeof(void*) * static_cast<std::size_t>(std::countr_zero(bits))));
      break;
    case walk::slots: scan_slots(start, k); break;
    case walk::conservative: {
      const std::size_t bytes = k.is_large() ? the_regions.span_of(start)->block_bytes : k.size;
      words(start, start + bytes);
      break;
    }
    case walk::ephemeron: scan_ephemeron(start); break;
    case walk::weak:
    case walk::none: break;
  }
}

void marker::scan_slots(const char* start, const kind& k) noexcept {
  const std::size_t bytes = k.is_large() ? the_regions.span_of(start)->block_bytes : k.size;
  const std::size_t elements = k.is_array ? bytes / k.element : 1;
  for (std::size_t e = 0; e != elements; ++e, start += k.element)
    for (std::size_t s = 0; s != k.slot_count; ++s) visit(word_at(start + k.slots[s]));
}

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
