// SPDX-License-Identifier: BSL-1.0
#include "collected_blocks.hpp"

#include "at_work.hpp"
#include "heap_profile.hpp"
#include "misuse.hpp"
#include "scavenger.hpp"
#include "thread_cache.hpp"

namespace heddle::detail::collected_blocks {
namespace {

/// Bytes that no block can have: what would not fit half of the address space.
constexpr std::size_t absurd = std::size_t{1} << 46;

void* take(mcache& from, size_class c) noexcept {
  block_list& l = from.slot(c);
  free_block* const b = l.free;
  if (b == nullptr) return from.refill(c);
  l.free = b->next;
  ++l.live;
  return b;
}

void* make_large(mcache& from, std::size_t size) noexcept {
  if (size >= absurd) return nullptr;
  span* const s = the_mheap.make_span(class_count, (size + page_size - 1) >> page_shift, page_size, from.kind());
  if (s == nullptr) return nullptr;
  s->zeroed = false;
  if (the_profile.interval() != 0) [[unlikely]]
    from.count_large(s->start, size);
  return s->start;
}

void free_large(span& s) noexcept {
  if (the_profile.any_in_use()) [[unlikely]]
    the_profile.remove(s.start);
  the_mheap.free_span(s);
}

[[noreturn, gnu::cold]] void report(const void* p) noexcept {
  misuse("collected_blocks::deallocate", p, the_map.contains(p) ? &the_map.span_of(p) : nullptr,
         "no collected block in use begins there");
}

}  // namespace

void* allocate(mcache& from, std::size_t size) noexcept {
  void* const p = size <= class_limit ? take(from, class_for(size)) : make_large(from, size);
  if (p != nullptr) the_collected_spans.set_in_use(p);
  return p;
}

void deallocate(mcache& to, void* p) noexcept {
  if (!HEDDLE_PLANTED(cleared_when_free) && !the_collected_spans.clear_in_use(p)) [[unlikely]]
    report(p);
  span& s = the_map.span_of(p);
  s.is_large() ? free_large(s) : to.put_back(s, p);
  if (HEDDLE_PLANTED(cleared_when_free)) the_collected_spans.clear_in_use(p);
}

void* allocate(span_kind kind, std::size_t size) noexcept {
  void* p = nullptr;
  {
    const at_work here(at_work::patience::endless);
    const mcache_hold cache(kind);
    if (!here || !cache) return nullptr;
    p = allocate(*cache.get(), size);
    if (p == nullptr) [[unlikely]] {
      for_own_mcaches([](mcache& c) { c.drain(); });  // there may be whole spans without a block in use
      p = allocate(*cache.get(), size);
    }
  }
  the_scavenger.poll(nullptr);
  return p;
}

void deallocate(void* p) noexcept {
  const collected_span* const in = the_collected_spans.of(p);
  if (in == nullptr) [[unlikely]]
    report(p);
  {
    const at_work here(at_work::patience::endless);
    if (const mcache_hold cache(in->kind); here && cache) deallocate(*cache.get(), p);
  }
  the_scavenger.poll(nullptr);
}

}  // namespace heddle::detail::collected_blocks
