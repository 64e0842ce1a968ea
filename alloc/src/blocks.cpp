// SPDX-License-Identifier: BSL-1.0
#include "blocks.hpp"

#include <algorithm>
#include <cstring>

#include "at_work.hpp"
#include "extras.hpp"
#include "heap_profile.hpp"
#include "misuse.hpp"
#include "options.hpp"
#include "reserve_blocks.hpp"
#include "scavenger.hpp"

namespace heddle::detail::blocks {
namespace {

/// Bytes that no block can have: what would not fit half of the address space.
constexpr std::size_t absurd = std::size_t{1} << 46;

void* allocate_of_empty(size_class c) noexcept;

/// A block of the reserve, as aligned as blocks of the class are.
[[gnu::cold, gnu::noinline]] void* allocate_of_reserve(size_class c) noexcept {
  const std::size_t size = class_info[c].size;
  return at_work::serve_otherwise(std::min(size & (0 - size), page_size), size, [c] { return allocate_of_empty(c); });
}

[[gnu::noinline]] void* allocate_of_empty(size_class c) noexcept {
  the_scavenger.poll(nullptr);
  void* p = nullptr;
  {
    const at_work here;
    if (!here) [[unlikely]]
      return allocate_of_reserve(c);
    const mcache_hold cache;
    if (!cache) return nullptr;
    if (block_list& l = cache->slot(c); l.free != nullptr) {  // the thread had no cache, or somebody has knocked
      void* const block = pop(l);
      cache->answer_knock(c);
      return block;
    }
    p = cache->refill(c);
  }
  free_deferred_blocks();
  return p;
}

void* allocate_of(size_class c) noexcept {
  block_list& l = this_mcache->short_slot(c);
  return l.free != nullptr ? pop(l) : allocate_of_empty(c);
}

[[gnu::cold, gnu::noinline]] void count_large(const void* p, std::size_t size) noexcept {
  const mcache_hold cache;
  if (cache) cache->count_large(p, size);
}

/// A block with a span of its own. `zeroed`: whether it is.
inline void* find_large_span(std::size_t size, std::size_t alignment, bool& zeroed) noexcept {
  span* const s =
      the_mheap.make_span(class_count, std::max<std::size_t>(pages_for(size), 1), std::max(alignment, page_size));
  if (s == nullptr) return nullptr;
  zeroed = s->zeroed;
  s->zeroed = false;
  return s->start;
}

/// A block with a mapping of its own.
[[gnu::noinline]] void* find_huge(std::size_t size, std::size_t alignment, bool& zeroed) noexcept {
  if (size >= absurd || alignment >= absurd) return nullptr;
  if (void* const p = the_mheap.make_huge(std::max(size, std::size_t{1}), alignment); p != nullptr) {
    zeroed = true;
    return p;
  }
  // The addresses that the process may have are perhaps the heap's, and free there.
  if (alignment >= mheap::huge_limit || size > the_mheap.figures().mapped) return nullptr;
  return find_large_span(size, alignment, zeroed);
}

/// A block with a span or a mapping of its own. `zeroed`: whether it is.
inline void* find_large(std::size_t size, std::size_t alignment, bool& zeroed) noexcept {
  return size < mheap::huge_limit && alignment < mheap::huge_limit ? find_large_span(size, alignment, zeroed)
                                                                   : find_huge(size, alignment, zeroed);
}

void* allocate_large(std::size_t size, std::size_t alignment, bool& zeroed) noexcept;

[[gnu::cold, gnu::noinline]] void* allocate_large_otherwise(std::size_t size, std::size_t alignment,
                                                            bool& zeroed) noexcept {
  return at_work::serve_otherwise(alignment, size, [&] { return allocate_large(size, alignment, zeroed); });
}

/// There may be whole spans without a block in use.
[[gnu::cold, gnu::noinline]] void* find_large_again(std::size_t size, std::size_t alignment, bool& zeroed) noexcept {
  if (this_mcache == &nobodys_mcache || size >= absurd) return nullptr;
  this_mcache->drain();
  return find_large(size, alignment, zeroed);
}

[[gnu::noinline]] void* allocate_large(std::size_t size, std::size_t alignment, bool& zeroed) noexcept {
  the_scavenger.poll(nullptr);
  const at_work here;
  if (!here) [[unlikely]]
    return allocate_large_otherwise(size, alignment, zeroed);
  void* p = find_large(size, alignment, zeroed);
  if (p == nullptr) [[unlikely]]
    p = find_large_again(size, alignment, zeroed);
  if (the_profile.interval() != 0 && p != nullptr) [[unlikely]]
    count_large(p, size);
  return p;
}

/// `size`: of what is now at `to`.
void moved(const void* from, const void* to, std::size_t size) noexcept {
  if (the_profile.any_in_use()) [[unlikely]]
    the_profile.move(from, to, size);
}

void free_large(span& s) noexcept {
  if (the_profile.any_in_use()) [[unlikely]]
    the_profile.remove(s.start);
  the_mheap.free_span(s);
}

/// Frees p as soon as the fork is over.
[[gnu::cold, gnu::noinline]] void defer(void* p) noexcept {
  the_reserve_blocks.defer(p);
  // The thread that forked has perhaps looked through them already. In a signal's handler: the next call does it.
  if (the_fork_gate.is_open() && !at_work::is_any()) free_deferred_blocks();
}

/// The span of a block, or null for a huge one; ends the process if no block begins at p.
span* span_of_block(const void* p, const char* what) noexcept {
  if (!the_map.contains(p)) {
    if (the_mheap.huge_size(p) == 0) misuse(what, p, nullptr);
    return nullptr;
  }
  span& s = the_map.span_of(p);
  if (!s.begins_manual_block(p)) [[unlikely]]
    misuse(what, p, &s);
  return &s;
}

}  // namespace

namespace plain {

void* allocate(std::size_t size) noexcept {
  if (size <= class_limit) [[likely]]
    return allocate_of(class_for(size));
  bool zeroed = false;
  return allocate_large(size, grain, zeroed);
}

void deallocate_slow(void* p, span& s) noexcept {
  if (!s.begins_manual_block(p)) [[unlikely]]
    misuse("free", p, &s);
  const at_work here;
  if (!here) [[unlikely]]
    return defer(p);
  if (s.is_large()) return free_large(s);
  const mcache_hold cache;
  if (cache) cache->free_behind(s, p);  // else there is no memory for a cache: the block is lost
}

void deallocate_outside(void* p) noexcept {
  if (p == nullptr) return;
  if (the_reserve_blocks.contains(p)) [[unlikely]]
    return the_reserve_blocks.deallocate(p);
  const at_work here;
  if (!here && the_mheap.huge_size(p) != 0) [[unlikely]]
    return defer(p);
  if (the_profile.any_in_use()) [[unlikely]]
    the_profile.remove(p);
  if (the_mheap.free_huge(p)) return;
  misuse("free", p, the_map.contains(p) ? &the_map.span_of(p) : nullptr);
}

}  // namespace plain

// --- where the short paths end ------------------------------------------------------------------------------------

void* allocate_slow(std::size_t size) noexcept {
  if (extras::wanted()) [[unlikely]]
    return extras::allocate(grain, size);
  return plain::allocate(size);
}

namespace {

[[gnu::noinline]] void deallocate_at_work(void* p, span& s, const void* caller) noexcept {
  mcache* const c = this_mcache;
  // Where every call is checked the thread's cache is not to be seen.
  if (c != &nobodys_mcache && s.begins_manual_block(p)) [[likely]] {
    const at_work here(c);
    if (!here) [[unlikely]]
      defer(p);
    else if (s.is_large())
      free_large(s);
    else
      c->free_behind(s, p);
  } else if (extras::wanted()) [[unlikely]] {
    extras::deallocate(p);
  } else {
    plain::deallocate_slow(p, s);
  }
  the_scavenger.poll(caller);
}

/// p lies in a window, and its magazine is full, or there is none.
[[gnu::always_inline]] inline void deallocate_in(span& s, void* p, const void* caller) noexcept {
  // Code that needs a frame on the stack stands apart.
  if (!this_mcache->free_at_once(s, p)) return deallocate_at_work(p, s, caller);
  the_scavenger.poll(caller);
}

}  // namespace

void deallocate_slow(void* p, const void* caller) noexcept { deallocate_in(the_map.span_in_first(p), p, caller); }

void deallocate_outside(void* p, const void* caller) noexcept {
  if (p == nullptr) return;
  if (const heap_window* const w = the_map.window_of_block(p); w != nullptr)
    return deallocate_tagged(p, w->tag_of(p), [&] { deallocate_in(the_map.span_of(p), p, caller); });
  if (extras::wanted()) [[unlikely]]
    extras::deallocate(p);
  else
    plain::deallocate_outside(p);
  the_scavenger.poll(nullptr);
}

void free_deferred_blocks() noexcept {
  the_reserve_blocks.take_deferred([](void* p) { deallocate(p); });
}

void freed_twice(void* p) noexcept {
  misuse("free", p, &the_map.span_of(p), "it is free already, and was the last block to be freed");
}

void* allocate_zeroed(std::size_t size) noexcept {
  if (size > class_limit) {
    if (extras::wanted()) return extras::allocate_zeroed(size);
    bool zeroed = false;
    void* const p = allocate_large(size, grain, zeroed);
    if (p != nullptr && !zeroed) std::memset(p, 0, size);
    return p;
  }
  void* const p = allocate(size);
  if (p != nullptr) std::memset(p, 0, size);
  return p;
}

void* allocate_aligned(std::size_t alignment, std::size_t size) noexcept {
  if (alignment <= grain) return allocate(size);
  if (extras::wanted()) [[unlikely]]
    return extras::allocate(alignment, size);
  return plain::allocate_aligned(alignment, size);
}

void* plain::allocate_aligned(std::size_t alignment, std::size_t size) noexcept {
  if (const size_class c = class_for_aligned(alignment, size); c != class_count) return allocate_of(c);
  bool zeroed = false;
  return allocate_large(size, alignment, zeroed);
}

std::size_t usable_size(const void* p) noexcept {
  if (the_reserve_blocks.contains(p)) [[unlikely]]
    return reserve_blocks::size_of(p);
  if (extras::wanted()) [[unlikely]]
    return extras::usable_size(p);
  return plain::usable_size(p);
}

std::size_t plain::usable_size(const void* p) noexcept {
  const span* const s = span_of_block(p, "malloc_usable_size");
  return s != nullptr ? s->size : the_mheap.huge_size(p);
}

std::size_t good_size(std::size_t size) noexcept {
  if (extras::wanted() && the_extras() == call_extras::checks) return size;
  if (size <= class_limit) return class_info[class_for(size)].size;
  // Huge blocks consist of the kernel's pages.
  return size < mheap::huge_limit ? pages_for(size) << page_shift : (size + 4095) & ~std::size_t{4095};
}

namespace {

void* copy_to_new(void* p, std::size_t old_size, std::size_t size) noexcept {
  void* const q = allocate(size);
  if (q == nullptr) return nullptr;
  std::memcpy(q, p, std::min(old_size, size));
  deallocate(p);
  return q;
}

/// Null: the block has to be copied.
void* resize_large(span& s, std::size_t size) noexcept {
  void* const p = s.start;
  if (size <= class_limit && size <= s.size / 2) return nullptr;
  const at_work here;
  if (!here) [[unlikely]]
    return nullptr;
  const std::size_t pages = std::max<std::size_t>(pages_for(size), 1);
  if (pages == s.pages) return p;
  const bool stays = size < mheap::huge_limit || pages < s.pages;
  void* q = stays && the_mheap.resize(s, pages) ? p : nullptr;
  // Pages change their places, not their contents.
  if (q == nullptr) q = the_mheap.move_to_huge(s, size);
  if (q == nullptr && !stays && the_mheap.resize(s, pages)) q = p;
  if (q != nullptr) moved(p, q, size);
  return q;
}

void* resize_huge(void* p, std::size_t old_size, std::size_t size) noexcept {
  if (size < class_limit && size <= old_size / 2) return nullptr;
  const at_work here;
  if (!here) [[unlikely]]
    return nullptr;
  // Refused, for instance, if a program has changed the protection of a part: then the kernel sees two mappings.
  void* const q = the_mheap.resize_huge(p, std::max(size, std::size_t{1}));
  if (q != nullptr) moved(p, q, size);
  return q;
}

}  // namespace

void* reallocate(void* p, std::size_t size) noexcept {
  the_scavenger.poll(nullptr);  // also where the block stays as it is: the program may call nothing else
  if (the_reserve_blocks.contains(p)) [[unlikely]]
    return copy_to_new(p, reserve_blocks::size_of(p), size);
  if (extras::wanted()) [[unlikely]]
    return extras::reallocate(p, size);
  return plain::reallocate(p, size);
}

void* plain::reallocate(void* p, std::size_t size) noexcept {
  span* const s = span_of_block(p, "realloc");
  if (s == nullptr || s->is_large()) {
    if (size >= absurd) return nullptr;
    const std::size_t old_size = s != nullptr ? s->size : the_mheap.huge_size(p);
    void* const q = s != nullptr ? resize_large(*s, size) : resize_huge(p, old_size, size);
    return q != nullptr ? q : copy_to_new(p, old_size, size);
  }
  // What is half as large again as it need be may stay.
  if (size <= s->size && (size > s->size / 2 || s->klass == 0)) return p;
  return copy_to_new(p, s->size, size);
}

}  // namespace heddle::detail::blocks
