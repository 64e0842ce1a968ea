// SPDX-License-Identifier: BSL-1.0
#include "reclaim/weak_cells.hpp"

#include <bit>

namespace heddle::gc::detail {

namespace platform = heddle::detail::platform;

constinit weak_cells the_weak_cells;

namespace {

/// The kind in `number`, made if need be. Of two threads that make it one wins; the other's stays unused.
kind_number made(atomic<kind_number>& number, walk how, std::size_t bytes, const char* name) noexcept {
  kind_number n = number.load(std::memory_order_acquire);  // acquire: so that the kind is seen; release half below
  if (n != 0) return n;
  const kind_number mine = the_kinds.of_cells(how, bytes, name);
  // release: so that the kind is seen with its number; acquire half above, and on failure.
  return number.compare_exchange_strong(n, mine, std::memory_order_acq_rel) ? mine : n;
}

}  // namespace

kind_number weak_cells::weak_kind() noexcept {
  return made(weak_, walk::weak, sizeof(weak_cell), "heddle::gc::weak's cell");
}
kind_number weak_cells::ephemeron_kind() noexcept {
  return made(ephemeron_, walk::ephemeron, sizeof(ephemeron_cell), "heddle::gc::ephemeron_map's cell");
}

void weak_cells::clear_dead(marker& m) noexcept {
  m.pending.for_each_left([](ephemeron_cell& c) {
    __atomic_store_n(&c.key, nullptr, __ATOMIC_RELAXED);
    __atomic_store_n(&c.value, nullptr, __ATOMIC_RELAXED);
  });
  const kind_number number = weak_.load(std::memory_order_relaxed);
  if (number == 0) return;
  the_heap.for_each_span(the_kinds[number], [](span& s) {
    for (std::size_t w = 0; w != s.words(); ++w)
      for (std::uint64_t bits = s.marks()[w].load(std::memory_order_relaxed); bits != 0; bits &= bits - 1) {
        auto& c = *reinterpret_cast<weak_cell*>(s.block_at(w * 64 + static_cast<std::size_t>(std::countr_zero(bits))));
        void* const target = __atomic_load_n(&c.target, __ATOMIC_RELAXED);
        const block b = the_regions.find(reinterpret_cast<std::uintptr_t>(target));
        if (b && !b.is_marked()) __atomic_store_n(&c.target, nullptr, __ATOMIC_RELAXED);
      }
  });
}

void* weak_cells::address_in(void* const& slot) noexcept {
  for (unsigned i = 0;; ++i) {
    {
      const critical_call inside;
      // acquire: so that the cells are seen as they have been cleared; release half in decided().
      if (!deciding_.load(std::memory_order_acquire) || HEDDLE_PLANTED(gc_weak_looks_not)) {
        void* const p = __atomic_load_n(&slot, __ATOMIC_RELAXED);
        if (inside.marking() && !HEDDLE_PLANTED(gc_weak_not_shaded)) mutators::push(inside.self(), p);
        return p;
      }
    }
    i < 100 ? platform::cpu_relax() : platform::yield_thread();
  }
}

}  // namespace heddle::gc::detail
