// SPDX-License-Identifier: BSL-1.0
#include "mheap.hpp"

#include <algorithm>
#include <bit>
#include <new>
#include <utility>

#include "collected_spans.hpp"
#include "options.hpp"
#include "os.hpp"
#include "process.hpp"
#include "scavenger.hpp"

namespace heddle::detail {

constinit mheap the_mheap;

namespace {

constexpr std::size_t os_page = 4096;
constexpr std::size_t largest_step = std::size_t{64} << 20;  // by which the heap grows
constexpr std::size_t least_pages = (std::size_t{128} << 10) / page_size;

// Spans of blocks up to this size are filled from end to end, as a rule; a heap of this size is going to fill them.
constexpr std::size_t most_populated_size = 2048;
constexpr std::size_t least_to_populate = std::size_t{16} << 20;

constexpr std::size_t round_up(std::size_t n, std::size_t to) noexcept { return (n + to - 1) / to * to; }

}  // namespace

// --- growing --------------------------------------------------------------------------------------------------------

bool mheap::grow(std::size_t pages) noexcept {
  // Before there is a page: addresses outside the heap lead to the record with the number 0.
  if (!records_.begin()) return false;
  const std::size_t needed = round_up(pages, page_allocator::chunk_pages);
  // An eighth of what there is, so that a small process stays small, and a large one asks seldom.
  const std::size_t step =
      round_up(std::min(largest_step, figures_.mapped / 8) >> page_shift, page_allocator::chunk_pages);
  // Near a limit of the process a part of a chunk.
  return (step > needed && add_pages(step)) || add_pages(needed) || add_pages(round_up(pages, least_pages));
}

bool mheap::add_pages(std::size_t pages) noexcept {
  static_assert(huge_limit <= address_map::window_align);  // no span is aligned to more
  const std::size_t first = the_map.grow(pages);
  if (first == no_page) return false;
  if (!pages_.grow(first, pages)) {
    the_map.shrink(pages);
    return false;
  }
  if (huge_pages_wanted() != huge_pages::as_the_system_says)
    os::advise_huge_pages(the_map.address(first), pages << page_shift, huge_pages_wanted() == huge_pages::always);
  figures_.mapped += pages << page_shift;
  return true;
}

void* mheap::bump(std::size_t bytes) noexcept {
  bytes = round_up(bytes, 64);
  if (bytes > bump_left_) {
    const std::size_t more = std::max(round_up(bytes, os_page), std::size_t{64} << 10);
    auto* const fresh = static_cast<char*>(os::map(more, os_page));
    if (fresh == nullptr) return nullptr;
    bump_ = fresh;
    bump_left_ = more;
    figures_.records += more;
  }
  bump_left_ -= bytes;
  return std::exchange(bump_, bump_ + bytes);
}

void* mheap::make_record(std::size_t bytes) noexcept {
  const thread_lock hold(lock_);
  return bump(bytes);
}

// --- spans ----------------------------------------------------------------------------------------------------------

bool mheap::fits(std::size_t bytes) const noexcept {
  const std::size_t all = figures_.in_spans + figures_.huge + bytes;
  return all == 0 || all - 1 <= limit_.load(std::memory_order_relaxed);
}

/// Gives back so many free pages that what the heap holds comes down to the limit.
void mheap::trim_to_limit() noexcept {
  const std::size_t most = limit();
  if (most == 0) return;
  const mheap_figures f = figures();
  const std::size_t held = f.in_spans + f.huge + f.idle_resident;
  if (held <= most) return;
  {
    const thread_lock hold(lock_);
    drop_all_kept();  // these count as free pages, but are none yet
  }
  release(the_scavenger.round() + 1, held - most);
}

/// A large block is going to touch so many pages that had no memory: where much is idle, as much of that is given back.
void mheap::make_up_for(std::size_t fresh) noexcept {
  if (fresh == 0 || the_options.scavenger == scavenging::off) return;
  const mheap_figures f = figures();
  const std::size_t enough = f.in_spans / 8;
  if (f.idle_resident > enough)
    release(the_scavenger.round() + 1, std::min(fresh << page_shift, f.idle_resident - enough));
}

span* mheap::make_span(size_class klass, std::size_t pages, std::size_t align, span_kind kind) noexcept {
  std::size_t fresh = 0;
  span* s = try_make_span(klass, pages, align, kind, fresh);
  // What is free elsewhere may be enough: spans of nobody without a block in use, pages of threads that have ended.
  if (s == nullptr && the_scavenger.release_all() != 0) s = try_make_span(klass, pages, align, kind, fresh);
  if (s == nullptr) return nullptr;
  trim_to_limit();
  if (s->is_large()) make_up_for(fresh);
  // Pages that will be filled get their memory by one call. A small process had rather wait and see. Where calls are
  // filtered, memory comes by faults.
  if (s->zeroed && s->size <= most_populated_size && figures().in_spans >= least_to_populate &&
      !process::has_heard_of_filters())
    os::populate(s->start, s->bytes());
  if (kind != span_kind::manual && !the_collected_spans.add(*s)) {
    s->kind = span_kind::manual;
    free_span(*s);
    return nullptr;
  }
  return s;
}

/// Pages that were free. The heap grows if there are none. `fresh`: how many had no memory.
std::size_t mheap::take_pages(std::size_t pages, std::size_t align, std::size_t& fresh) noexcept {
  if (pages + align < pages) return no_page;
  std::size_t first = pages_.take(pages, align, fresh);
  if ((first == no_page || fresh == pages) && kept_pages_ != kept_large_pages_) {
    if (first != no_page) pages_.give(first, pages, false);
    drop_kept_of_classes();  // which have memory
    first = pages_.take(pages, align, fresh);
  }
  if (first == no_page && kept_large_count_ != 0) {
    drop_kept_large();
    first = pages_.take(pages, align, fresh);
  }
  if (first == no_page && grow(pages + align - 1)) first = pages_.take(pages, align, fresh);
  return first;
}

/// Has the span's addresses lead to the record with this number: its own, or 0.
inline void mheap::map_span(const span& s, std::uint32_t number) noexcept {
  // Only the start of a large block is ever looked up.
  s.is_large() ? the_map.set_number(s.start, number) : map_pages(s, number);
}

[[gnu::noinline]] void mheap::map_pages(const span& s, std::uint32_t number) noexcept {
  const heap_window& w = *the_map.window_of(s.start);
  const std::size_t first = w.page_in(s.start);
  std::fill_n(w.table + first, s.pages, number);
  if (s.kind != span_kind::manual) return;
  std::fill_n(w.tags + first, s.pages, number != 0 ? tag_of(s.klass) : class_tag{0});
}

span* mheap::try_make_span(size_class klass, std::size_t pages, std::size_t align, span_kind kind,
                           std::size_t& fresh) noexcept {
  fresh = 0;
  const thread_lock hold(lock_);
  if (!fits(pages << page_shift)) return nullptr;
  const bool is_large = klass == class_count;
  span* s = align == page_size ? take_kept(klass, pages) : nullptr;
  if (s == nullptr) {
    if (is_large) drop_kept_large();  // their pages have memory: rather those than fresh ones
    const std::size_t first = take_pages(pages, align >> page_shift, fresh);
    if (first == no_page) return nullptr;
    s = records_.make();
    if (s == nullptr) {
      pages_.give(first, pages);
      return nullptr;
    }
    s->start = the_map.address(first);
    s->pages = static_cast<std::uint32_t>(pages);
  }
  s->klass = klass;
  s->kind = kind;
  s->size = is_large ? pages << page_shift : class_info[klass].size;
  s->capacity = is_large ? 1 : class_info[klass].capacity;
  s->by_size = is_large ? divisor() : divisor(s->size);
  s->state = is_large ? span_state::large : span_state::partial;
  s->zeroed = fresh == pages;
  s->free = nullptr;
  s->teller = s->told = 0;
  s->live = is_large;
  s->base = 0;
  s->carved = 0;
  s->fresh = is_large || !s->has_bits() ? 0 : ~std::uint64_t{0} >> (64 - s->capacity);
  s->notice_due = false;
  map_span(*s, static_cast<std::uint32_t>(s - the_map.spans));
  figures_.in_spans += s->bytes();
  return s;
}

void mheap::free_span(span& s, bool backed) noexcept {
  if (s.kind != span_kind::manual) the_collected_spans.remove(s);
  std::size_t idle = 0;
  {
    const thread_lock hold(lock_);
    map_span(s, 0);
    figures_.in_spans -= s.bytes();
    s.state = span_state::unused;
    s.live = 0;
    s.owner.store(nullptr, std::memory_order_relaxed);
    s.remote.store(0, std::memory_order_relaxed);
    if (!backed || !keep(s)) give_pages(s, backed);
    idle = (pages_.idle_resident_pages() + kept_pages_) << page_shift;
  }
  the_scavenger.notice_idle(idle);
}

/// The pages become free, the record may become another's.
void mheap::give_pages(span& s, bool backed) noexcept {
  pages_.give(the_map.page_of(s.start), s.pages, backed);
  records_.drop(s);
}

// What has just been freed is kept as it is for a moment. A span of a class serves the next one of that class: so the
// same pages are touched again, and not those which blocks of another size have left untouched. Of large blocks a few
// are kept, for who asks for the same number of pages. Before pages without memory are used (large ones: before the
// heap grows), and when the scavenger comes by, all are given up.

bool mheap::keep(span& s) noexcept {
  if (s.is_large()) {
    if (s.pages > most_kept_large_pages) return false;
    while (kept_large_pages_ + s.pages > most_kept_large_pages || kept_large_count_ == std::size(kept_large_))
      drop_kept_large_one();
    kept_large_[kept_large_count_++] = &s;
    kept_large_pages_ += s.pages;
  } else {
    s.next = kept_[s.klass];
    kept_[s.klass] = &s;
  }
  kept_pages_ += s.pages;
  return true;
}

span* mheap::take_kept(size_class klass, std::size_t pages) noexcept {
  if (klass != class_count) {
    span* const s = kept_[klass];
    if (s == nullptr) return nullptr;
    kept_[klass] = s->next;
    kept_pages_ -= pages;
    return s;
  }
  for (std::size_t i = kept_large_count_; i-- != 0;) {
    span* const s = kept_large_[i];
    if (s->pages != pages) continue;
    std::copy(kept_large_ + i + 1, kept_large_ + kept_large_count_, kept_large_ + i);
    --kept_large_count_;
    kept_large_pages_ -= pages;
    kept_pages_ -= pages;
    return s;
  }
  return nullptr;
}

void mheap::drop_kept_large_one() noexcept {
  span& s = *kept_large_[0];
  std::copy(kept_large_ + 1, kept_large_ + kept_large_count_, kept_large_);
  --kept_large_count_;
  kept_large_pages_ -= s.pages;
  kept_pages_ -= s.pages;
  give_pages(s, true);
}

void mheap::drop_kept_large() noexcept {
  while (kept_large_count_ != 0) drop_kept_large_one();
}

/// Drops `most` spans at most. Returns how many more it might have dropped.
std::size_t mheap::drop_kept_of_classes(std::size_t most) noexcept {
  for (span*& first : kept_) {
    for (; first != nullptr && most != 0; --most) {
      span* const s = first;
      first = s->next;
      kept_pages_ -= s->pages;
      give_pages(*s, true);
    }
  }
  return most;
}

void mheap::drop_all_kept() noexcept {
  drop_kept_large();
  drop_kept_of_classes();
}

bool mheap::drop_kept(std::size_t most) noexcept {
  const thread_lock hold(lock_);
  drop_kept_large();
  return drop_kept_of_classes(most) == 0;
}

bool mheap::resize(span& s, std::size_t pages) noexcept {
  const bool grows = pages > s.pages;
  std::size_t fresh = 0;
  if (!try_resize(s, pages, fresh)) return false;
  if (grows) trim_to_limit();
  make_up_for(fresh);
  return true;
}

bool mheap::try_resize(span& s, std::size_t pages, std::size_t& fresh) noexcept {
  const thread_lock hold(lock_);
  const std::size_t first = the_map.page_of(s.start);
  if (pages > s.pages) {
    const std::size_t more = pages - s.pages;
    const std::size_t behind = first + s.pages;
    if (!fits(more << page_shift)) return false;
    // At the end of the heap: let it grow.
    if (behind + more > pages_.end() && behind <= pages_.end()) grow(behind + more - pages_.end());
    if (!pages_.take_at(behind, more, fresh)) return false;
    s.zeroed = s.zeroed && fresh == more;
    figures_.in_spans += more << page_shift;
  } else {
    pages_.give(first + pages, s.pages - pages);
    figures_.in_spans -= (s.pages - pages) << page_shift;
  }
  s.pages = static_cast<std::uint32_t>(pages);
  s.size = pages << page_shift;
  return true;
}

// --- huge blocks ----------------------------------------------------------------------------------------------------

huge_block** mheap::find_huge(const void* p) noexcept {
  const std::uintptr_t a = reinterpret_cast<std::uintptr_t>(p) >> 12;
  huge_block** at = &huge_[(a ^ a >> 9) % huge_buckets];
  while (*at != nullptr && (*at)->start != p) at = &(*at)->next;
  return at;
}

/// Counts a huge block that is about to be mapped, if the limit allows it.
bool mheap::admit_huge(std::size_t bytes) noexcept {
  const thread_lock hold(lock_);
  if (!fits(bytes)) return false;
  figures_.huge += bytes;
  return true;
}

void mheap::dismiss_huge(std::size_t bytes) noexcept {
  const thread_lock hold(lock_);
  figures_.huge -= bytes;
}

huge_block* mheap::make_huge_record() noexcept {
  const thread_lock hold(lock_);
  huge_block* const h = free_huge_records_;
  if (h == nullptr) return static_cast<huge_block*>(bump(sizeof(huge_block)));
  free_huge_records_ = h->next;
  return h;
}

void mheap::free_huge_record(huge_block& h) noexcept {
  const thread_lock hold(lock_);
  h.next = free_huge_records_;
  free_huge_records_ = &h;
}

/// Into the table; it has been admitted.
void mheap::list_huge(huge_block& h, char* start, std::size_t bytes) noexcept {
  const thread_lock hold(lock_);
  h = {start, bytes, nullptr};
  *find_huge(start) = &h;
  ++huge_count_;
}

void* mheap::make_huge(std::size_t bytes, std::size_t align) noexcept {
  huge_block* const h = make_huge_record();
  if (h == nullptr) return nullptr;
  const std::size_t size = round_up(bytes, os_page);
  char* start = nullptr;
  if (admit_huge(size) || (the_scavenger.release_all() != 0 && admit_huge(size))) {
    trim_to_limit();
    start = static_cast<char*>(os::map(size, align));
    if (start == nullptr) dismiss_huge(size);
  }
  if (start != nullptr)
    list_huge(*h, start, size);
  else
    free_huge_record(*h);
  return start;
}

std::size_t mheap::huge_size(const void* p) noexcept {
  const thread_lock hold(lock_);
  const huge_block* const h = *find_huge(p);
  return h != nullptr ? h->bytes : 0;
}

bool mheap::free_huge(void* p) noexcept {
  std::size_t bytes = 0;
  {
    const thread_lock hold(lock_);
    huge_block** const at = find_huge(p);
    huge_block* const h = *at;
    if (h == nullptr) return false;
    *at = h->next;
    bytes = h->bytes;
    figures_.huge -= bytes;
    --huge_count_;
    h->next = free_huge_records_;
    free_huge_records_ = h;
  }
  os::unmap(p, bytes);
  return true;
}

void* mheap::resize_huge(void* p, std::size_t bytes) noexcept {
  char* moved = nullptr;
  {
    const thread_lock hold(lock_);
    huge_block** const at = find_huge(p);
    huge_block* const h = *at;
    const std::size_t size = round_up(bytes, os_page);
    if (size > h->bytes && !fits(size - h->bytes)) return nullptr;
    // Under the lock, so that nobody is given the old address before it has left the table.
    moved = static_cast<char*>(os::remap(p, h->bytes, size));
    if (moved == nullptr) return nullptr;
    figures_.huge += size - h->bytes;
    *at = h->next;
    *h = {moved, size, nullptr};
    *find_huge(moved) = h;
  }
  trim_to_limit();
  return moved;
}

void* mheap::move_to_huge(span& s, std::size_t bytes) noexcept {
  // Each such block costs a mapping, of which a process may have some 65,000.
  constexpr std::size_t most = 4096;
  const std::size_t old_size = s.bytes();
  const std::size_t size = round_up(bytes, os_page);
  huge_block* const h = make_huge_record();
  if (h == nullptr) return nullptr;
  {
    const thread_lock hold(lock_);
    if ((bytes < huge_limit && huge_count_ >= most) || !fits(size - old_size)) {
      h->next = free_huge_records_;
      free_huge_records_ = h;
      return nullptr;
    }
    figures_.huge += size;
  }
  // Two steps: a mapping that consists of moved pages and of others cannot be moved as one any more.
  void* const moved = os::move_pages(s.start, old_size);
  auto* const grown = moved != nullptr ? static_cast<char*>(os::remap(moved, old_size, size)) : nullptr;
  if (grown == nullptr) {
    if (moved != nullptr) os::move_back(moved, s.start, old_size);
    dismiss_huge(size);
    free_huge_record(*h);
    return nullptr;
  }
  list_huge(*h, grown, size);
  free_span(s, false);
  trim_to_limit();
  return grown;
}

// --- giving back ----------------------------------------------------------------------------------------------------

std::size_t mheap::release(std::uint32_t round, std::size_t bytes, page_walk& along) noexcept {
  std::size_t released = 0;
  while (released < bytes && along.page != no_page) {
    std::size_t pages = 0;
    std::size_t first = 0;
    {
      const thread_lock hold(lock_);
      first = pages_.take_idle(along.page, round, pages);
    }
    along.page = no_page;
    if (first == no_page) break;
    // They count as used, so the lock is not held meanwhile.
    const bool gone = os::drop(the_map.address(first), pages << page_shift);
    const thread_lock hold(lock_);
    pages_.give(first, pages, !gone);
    if (!gone) break;
    released += pages << page_shift;
    figures_.released += pages << page_shift;
    along.page = first + pages;
    ++along.runs;
  }
  return released;
}

void mheap::set_round(std::uint32_t r) noexcept {
  const thread_lock hold(lock_);
  pages_.set_round(r);
}

mheap_figures mheap::figures() noexcept {
  const thread_lock hold(lock_);
  mheap_figures f = figures_;
  f.idle_resident = (pages_.idle_resident_pages() + kept_pages_) << page_shift;
  f.records += records_.bytes() + pages_.bytes() + the_map.table_bytes();
  return f;
}

span_records::run mheap::run_of_spans(std::size_t i) noexcept {
  const thread_lock hold(lock_);
  return records_[i];
}

}  // namespace heddle::detail
