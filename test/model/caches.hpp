// SPDX-License-Identifier: BSL-1.0
//
// Caches for model threads, and what must be true of all spans when those have ended. Blocks of 16 KiB: four in a span,
// which is given up when one is left, and each block that another frees is sent at once.
#pragma once

#include <array>
#include <bit>
#include <cstddef>

#include "mcache.hpp"
#include "mcentral.hpp"
#include "model/data.hpp"
#include "model/expect.hpp"
#include "scavenger.hpp"

namespace caches {

namespace hd = heddle::detail;

inline constexpr hd::size_class four = hd::class_for(16'384);
inline constexpr hd::size_class two = hd::class_for(32'768);
static_assert(hd::class_info[four].capacity == 4 && hd::class_info[two].capacity == 2);

/// What users write into blocks, a variable for each page of the heap, and who uses it.
struct page {
  model::data<int> contents;
  void* used_by = nullptr;  ///< the block that a user has
};
inline std::array<page, 256> pages;

inline page* pages_of(const void* p, std::size_t i) {
  const std::size_t n = hd::the_map.page_of(p) + i;
  if (n >= pages.size()) model::fail("the heap is larger than the test takes it to be");
  return &pages[n];
}

/// As blocks.hpp does it, with a cache that belongs to no thread.
class cache {
 public:
  cache() : c_(hd::the_mcache_pool.take()) {}
  cache(const cache&) = delete;
  cache& operator=(const cache&) = delete;

  void* allocate(hd::size_class k = four) {
    hd::block_list& l = c_->slot(k);
    void* p = l.free;
    if (p == nullptr) {
      p = c_->refill(k);
    } else {
      l.free = l.free->next;
      ++l.live;
    }
    model::check(p != nullptr && hd::the_map.contains(p), "no block was given");
    use(p);
    return p;
  }
  void free(void* p) {
    hd::span& s = hd::the_map.span_of(p);
    for (std::size_t i = 0; i != s.size / hd::page_size; ++i) {
      pages_of(p, i)->contents = 0;  // the last that its user does with it
      pages_of(p, i)->used_by = nullptr;
    }
    c_->free_behind(s, p);  // a class of such large blocks has no magazine
  }
  /// What the end of a thread does.
  void end() {
    hd::mcache* const c = c_;
    c_ = nullptr;
    hd::the_mcache_pool.give(*c);
  }
  /// What a new thread does.
  void begin() { c_ = hd::the_mcache_pool.take(); }
  bool has_ended() const { return c_ == nullptr; }
  hd::mcache* operator->() const { return c_; }

 private:
  static void use(void* p) {
    const hd::span& s = hd::the_map.span_of(p);
    model::check(s.begins_block(p), "what was given is no block");
    for (std::size_t i = 0; i != s.size / hd::page_size; ++i) {
      page& here = *pages_of(p, i);
      model::check(here.used_by == nullptr, "a block was handed out twice");
      here.used_by = p;
      here.contents = 1;
    }
  }
  hd::mcache* c_;
};

/// The caches of one execution: a of the thread that begins, b, c and d of others.
struct heap {
  cache a, b, c, d;

  /// All threads have ended. Brings on its way what is on its way, and looks at every span.
  void audit() {
    for (cache* const one : {&a, &b, &c, &d})
      if (!one->has_ended()) (*one)->flush();
    for (cache* const one : {&a, &b, &c, &d})
      if (!one->has_ended()) (*one)->collect_returned();
    hd::the_mcache_pool.reclaim_all();
    audit_spans();
  }
  /// Frees all, ends all caches: nothing may be left.
  void finish() {
    audit();
    if (b.has_ended()) b.begin();
    for (page& p : pages)
      if (p.used_by != nullptr) b.free(p.used_by);
    b->flush();
    for (cache* const one : {&a, &b, &c, &d})
      if (!one->has_ended()) one->end();
    audit_spans();
    hd::the_mcache_pool.reclaim_all();
    for (const hd::size_class k : {four, two}) hd::the_scavenger.tidy_spans(hd::the_mcentrals[k], true);
    for (const hd::size_class k : {four, two})
      model::check(hd::the_mcentrals[k].count() == 0 && hd::the_mcentrals[k].take() == nullptr,
                   "a span is left in an mcentral");
    model::check(hd::the_mheap.figures().in_spans == 0, "a span was lost");
  }

 private:
  static void audit_spans() {
    hd::the_mheap.for_each_span([](hd::span& s) {
      if (s.state != hd::span_state::unused) audit(s);
    });
  }
  static unsigned note_all(const hd::span& s, const hd::free_block* b, std::uint64_t& seen) {
    unsigned n = 0;
    for (; b != nullptr; b = b->next, ++n) note(s, b, seen);
    return n;
  }
  /// Notes the blocks of which these tell.
  static unsigned note_told(const hd::span& s, const hd::remote_block* b, std::uint64_t& seen) {
    unsigned n = 0;
    while (b != nullptr) {
      for (std::uint64_t blocks = b->blocks; blocks != 0; blocks &= blocks - 1, ++n)
        note(s, s.start + (b->first + static_cast<unsigned>(std::countr_zero(blocks))) * s.size, seen);
      b = b->next != 0 ? &s.teller_at(b->next - 1u) : nullptr;
    }
    return n;
  }
  static void note(const hd::span& s, const void* p, std::uint64_t& seen) {
    model::check(p >= s.start && p < s.start + s.bytes() && s.begins_block(p), "a list has left its span");
    const std::uint64_t bit = std::uint64_t{1} << s.index_of(p);
    model::check((seen & bit) == 0, "a block is in two places");
    seen |= bit;
  }
  /// Every block is in one place, and the counts agree with that.
  static void audit(hd::span& s) {
    using hd::span_state;
    namespace word = hd::remote_word;
    const std::uint64_t remote = s.remote.load();
    std::uint64_t seen = s.fresh;
    note_all(s, s.free, seen);
    const unsigned told = note_told(s, s.teller != 0 ? &s.teller_at(s.teller - 1u) : nullptr, seen);
    const unsigned sent = note_told(s, word::list(remote), seen);
    unsigned used = 0;
    for (unsigned i = 0; i != s.capacity; ++i) {
      char* const p = s.start + i * s.size;
      if (pages_of(p, 0)->used_by == p) ++used, note(s, p, seen);
    }
    model::check(std::popcount(seen) == s.capacity, "a block was lost");
    model::check(sent == word::count(remote), "the number of blocks that others have freed is wrong");
    model::check(told == s.told, "the number of blocks that have been collected is wrong");
    model::check(s.in_use() == sent + used, "the number of blocks in use is wrong");
    model::check(!s.notice_due, "a notice has never arrived");
    const bool nobodys = s.owner.load() == nullptr;
    model::check((s.state == span_state::central) == nobodys, "the owner is wrong");
    model::check((s.listed.load() != 0) == nobodys, "listed, but owned");
    model::check(((remote & word::at_mcentral) != 0) == nobodys, "flagged, but owned");
    if (nobodys) {
      model::check(s.left.load() == s.in_use(), "the number of blocks left is wrong");
      model::check(s.left.load() == 0 || s.left.load() != sent, "nobody has seen that a span is empty");
    }
    if (s.state == span_state::full) model::check(remote == word::watched, "a full span is not watched");
    if (s.state != span_state::full) model::check((remote & word::watched) == 0, "watched, but not full");
  }
};

/// Makes records and pages for all executions beforehand: they are never given back, and what makes them has
/// scheduling points of its own.
struct warm_up {
  warm_up() {
    std::array<cache, 8> all;
    std::array<void*, 16> blocks;
    for (std::size_t i = 0; i != 8; ++i) {
      blocks[2 * i] = all[i].allocate(four);
      blocks[2 * i + 1] = all[i].allocate(two);
    }
    for (std::size_t i = 0; i != 16; ++i) all[i / 2].free(blocks[i]);
    for (cache& c : all) c.end();
    hd::the_scavenger.release_all();
  }
};

using scenario = void (*)(heap&);

inline void run(scenario s) {
  heap h;
  s(h);
  h.finish();
}
inline void right(scenario s) {
  model::expect_ok({.executions = 15'000}, [s] { run(s); });
  model::expect_ok(
      {.strategy = model::strategy::exhaustive, .executions = 15'000, .stale_reads = 1, .weak_failures = 1},
      [s] { run(s); });
}
inline void wrong(model::plant bug, scenario s) {
  model::options o{.executions = 60'000};
  o.planted = bug;
  model::expect_bug(o, [s] { run(s); });
}

/// A span all of whose blocks are in use, and one block of the next: blocks[4].
inline std::array<void*, 5> fill_a_span(cache& c) {
  std::array<void*, 5> blocks;
  for (void*& p : blocks) p = c.allocate();
  return blocks;
}
/// Two blocks in a span that nobody owns.
inline std::array<void*, 2> two_left_behind(cache& c) {
  const std::array<void*, 2> blocks{c.allocate(), c.allocate()};
  c->drain();
  return blocks;
}

}  // namespace caches
