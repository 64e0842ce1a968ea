// SPDX-License-Identifier: BSL-1.0
#include "statistics.hpp"

#include <algorithm>
#include <bit>

#include "checked_blocks.hpp"
#include "glimpse.hpp"
#include "guarded_blocks.hpp"
#include "mcache.hpp"
#include "mheap.hpp"
#include "nobody.hpp"
#include "thread_cache.hpp"

namespace heddle::detail {
namespace {

static_assert(class_count <= alloc::statistics::most_classes);

struct block_counts {
  std::size_t in_use;
  std::size_t fresh;
};

/// The two words of which the number of blocks in use is the sum are seldom changed together; between these two writes
/// the sum is nonsense, so it is looked at again.
block_counts count_blocks(const span& s, std::size_t capacity, std::size_t size) noexcept {
  const std::size_t fresh = size > 128 ? static_cast<std::size_t>(std::popcount(glimpse(s.fresh)))
                                       : capacity - std::min<std::size_t>(glimpse(s.carved), capacity);
  const std::size_t returned = remote_word::count(s.remote.load(std::memory_order_relaxed));
  std::size_t in_use = capacity;
  for (unsigned tries = 0; tries != 3; ++tries) {
    const std::uint32_t sum = glimpse(s.live) + glimpse(s.base);
    if (sum > capacity) continue;
    in_use = sum;
    break;
  }
  in_use -= std::min(in_use, returned);
  in_use = std::min(in_use, capacity - std::min(fresh, capacity));
  return {in_use, fresh};
}

/// Where every call is checked. What waits in quarantine counts as in use.
block_counts count_checked(const span_checks& k, std::size_t capacity) noexcept {
  const std::size_t most = span_checks::blocks_to_hand_out(capacity);
  return {most - std::min<std::size_t>(most, glimpse(k.free_count)), 0};
}

std::size_t& in_use_of_kind(alloc::statistics& s, span_kind kind, std::size_t& others) noexcept {
  return kind == span_kind::scan ? s.scan : kind == span_kind::noscan ? s.noscan : others;
}

void add_span(alloc::statistics& to, const span& s) noexcept {
  const span_state state = glimpse(s.state);
  if (state == span_state::unused) return;
  const std::size_t bytes = std::size_t{glimpse(s.pages)} << page_shift;
  const size_class klass = glimpse(s.klass);
  const span_kind kind = glimpse(s.kind);
  std::size_t others = 0;
  std::size_t& in_use = in_use_of_kind(to, kind, others);
  if (klass >= class_count || state == span_state::large) {
    ++to.large_blocks;
    to.large_bytes += bytes;
    in_use += bytes;
    return;
  }
  alloc::class_statistics& c = to.classes[klass];
  const size_class_info& info = class_info[klass];
  const span_checks* const checks = glimpse(s.checks);  // never freed, so it may be read if it is another's by now
  const block_counts n =
      checks != nullptr ? count_checked(*checks, info.capacity) : count_blocks(s, info.capacity, info.size);
  in_use += n.in_use * info.size;
  c.pages += bytes;
  c.in_use += n.in_use;
  c.fresh += n.fresh;
  c.free += info.capacity - n.in_use - n.fresh;
  c.active_spans += state == span_state::active;
  c.full_spans += state == span_state::full;
  c.partial_spans += state == span_state::partial;
  c.central_spans += state == span_state::central;
}

/// What waits in a cache is free, though its spans do not know that yet.
void subtract_waiting(alloc::statistics& from, const mcache& cache) noexcept {
  const mcache::class_counts waiting = cache.count_waiting();
  std::size_t others = 0;
  std::size_t& in_use = in_use_of_kind(from, cache.kind(), others);
  for (std::size_t c = 0; c != class_count; ++c) {
    alloc::class_statistics& to = from.classes[c];
    const std::size_t n = std::min<std::size_t>(waiting[c], to.in_use);
    to.in_use -= n;
    to.free += n;
    in_use -= std::min(in_use, n * class_info[c].size);
  }
}

}  // namespace

void gather_totals(alloc::statistics& s) noexcept {
  const mheap_figures f = the_mheap.figures();
  s.mapped = f.mapped;
  s.in_spans = f.in_spans;
  s.idle_resident = f.idle_resident;
  s.huge = f.huge + the_guarded_blocks.bytes_in_use();
  s.records = f.records;
  s.released = f.released;
  s.limit = the_mheap.limit();
  s.caches = the_mcache_pool.made();
  s.caches_pooled = the_mcache_pool.pooled();
}

void gather(alloc::statistics& s) noexcept {
  s = {};
  for_own_mcaches([](mcache& c) { c.flush(); });  // what the caller has freed itself is free
  s.class_count = class_count;
  for (std::size_t c = 0; c != class_count; ++c) s.classes[c].block_size = class_info[c].size;
  gather_totals(s);
  the_mheap.for_each_span([&s](const span& of) noexcept { add_span(s, of); });
  the_mcache_pool.for_each([&s](const mcache& c) noexcept { subtract_waiting(s, c); });
}

void write_text(const alloc::statistics& s, text_writer& to) noexcept {
  to.add("%8s %11s %11s %11s %9s %7s %7s %7s %7s\n", "size", "in use", "free", "fresh", "KiB", "active", "full",
         "partial", "central");
  for (const alloc::class_statistics& c : s) {
    if (c.spans() == 0) continue;
    to.add("%8zu %11zu %11zu %11zu %9zu %7zu %7zu %7zu %7zu\n", c.block_size, c.in_use, c.free, c.fresh, c.pages >> 10,
           c.active_spans, c.full_spans, c.partial_spans, c.central_spans);
  }
  to.add("%8s %11zu %45zu KiB\n", "large", s.large_blocks, s.large_bytes >> 10);
  const auto line = [&](const char* name, std::size_t bytes, const char* what) noexcept {
    to.add("%-14s %12zu KiB  %s\n", name, bytes >> 10, what);
  };
  line("in use", s.in_use(), "blocks of the program");
  if (s.scan + s.noscan != 0) {
    line("  scan", s.scan, "of these, what a collector frees and looks into");
    line("  noscan", s.noscan, "what it frees and does not look into");
  }
  line("in spans", s.in_spans, "pages that are cut into blocks");
  line("idle", s.idle_resident, "free pages that still have memory");
  line("huge", s.huge, "blocks with mappings of their own");
  line("records", s.records, "what is written about all that");
  line("mapped", s.mapped, "address space of the heap");
  line("released", s.released, "ever given back to the kernel");
  if (s.limit != 0) line("limit", s.limit, "on spans, idle and huge");
  to.add("%-14s %12zu, %zu of them without a thread\n", "caches", s.caches, s.caches_pooled);
}

void write_json(const alloc::statistics& s, text_writer& to) noexcept {
  to.add("{\"classes\":[");
  const char* comma = "";
  for (const alloc::class_statistics& c : s) {
    if (c.spans() == 0) continue;
    to.add("%s\n{\"block_size\":%zu,\"pages\":%zu,\"in_use\":%zu,\"free\":%zu,\"fresh\":%zu,", comma, c.block_size,
           c.pages, c.in_use, c.free, c.fresh);
    to.add("\"active_spans\":%zu,\"full_spans\":%zu,\"partial_spans\":%zu,\"central_spans\":%zu}", c.active_spans,
           c.full_spans, c.partial_spans, c.central_spans);
    comma = ",";
  }
  to.add("],\n\"large_blocks\":%zu,\"large_bytes\":%zu,\"in_use\":%zu,\"scan\":%zu,\"noscan\":%zu,", s.large_blocks,
         s.large_bytes, s.in_use(), s.scan, s.noscan);
  to.add("\"mapped\":%zu,\"in_spans\":%zu,\"idle_resident\":%zu,\"huge\":%zu,\"records\":%zu,\"released\":%zu,",
         s.mapped, s.in_spans, s.idle_resident, s.huge, s.records, s.released);
  to.add("\"limit\":%zu,\"caches\":%zu,\"caches_pooled\":%zu}\n", s.limit, s.caches, s.caches_pooled);
}

}  // namespace heddle::detail
