// SPDX-License-Identifier: BSL-1.0
//
// Collected blocks looked up (alloc/src/collected_spans.cpp) while others free and allocate: who knows that a block is
// free finds none, who knows that it is in use finds it, whatever becomes of its span.
#include "collected_blocks.hpp"

#include <new>

#include "caches.hpp"

namespace {

using namespace caches;
namespace blocks = hd::collected_blocks;

constexpr std::size_t size = 32'768;
constexpr hd::span_kind kind = hd::span_kind::scan;
hd::mcentral& central() { return hd::the_mcentrals[hd::span_class_of(kind, two)]; }

/// As the collector has them.
struct cache_of_kind {
  cache_of_kind() : c(*hd::the_mcache_pool.take(kind)) {}
  ~cache_of_kind() {
    hd::the_mcache_pool.give(c);
    hd::the_scavenger.tidy_spans(central(), true);
  }
  cache_of_kind(const cache_of_kind&) = delete;
  cache_of_kind& operator=(const cache_of_kind&) = delete;

  char* allocate() const { return static_cast<char*>(blocks::allocate(c, size)); }
  void free(char* p) const { blocks::deallocate(c, p); }

  hd::mcache& c;
};

/// Makes what executions would have to make.
struct warm_up_collected {
  warm_up before;
  warm_up_collected() {
    const cache_of_kind a, b;
    char* const all[] = {a.allocate(), a.allocate(), a.allocate(), b.allocate(), b.allocate(), b.allocate()};
    for (char* const p : all) a.free(p);
  }
};
BOOST_TEST_GLOBAL_FIXTURE(warm_up_collected);

bool is_found(const char* p) {
  const hd::collected_block b = hd::the_collected_spans.find(p + size / 2);
  model::check(b.start == nullptr || (b.start == p && b.size == size && b.in->kind == kind), "another block is found");
  return b.start != nullptr;
}

/// The span ends, its pages serve malloc(), and what was known of it is used for a span elsewhere.
void lookup_meets_next_life(heap&) {
  const cache_of_kind a;
  char* const p = a.allocate();
  hd::atomic<bool> freed{false};
  char* next = nullptr;
  hd::span* manual = nullptr;
  model::thread other([&] {
    a.free(p);
    freed.store(true, std::memory_order_release);
    a.c.drain();
    hd::the_scavenger.tidy_spans(central(), true);
    manual = hd::the_mheap.make_span(two, hd::class_info[two].pages);
    next = a.allocate();
  });
  const bool is_free = freed.load(std::memory_order_acquire);
  model::check(!is_found(p) || !is_free, "a free block is found");
  other.join();
  model::check(manual->start == p, "the pages are used again");
  model::check(!is_found(p) && is_found(next), "the block in use is found");
  hd::the_mheap.free_span(*manual);
  a.free(next);
}

/// The same for what is known of the span, alone: of a large one, which is of another size next.
void look_meets_next_life(heap&) {
  alignas(hd::collected_span) std::byte memory[hd::collected_span::bytes_for(hd::class_count)];
  auto& s = *new (memory) hd::collected_span(kind, hd::class_count, nullptr);
  char* const p = hd::the_map.address(1);
  s.begin(p, 1);
  s.set_in_use(0);
  hd::atomic<bool> freed{false};
  model::thread other([&] {
    s.clear_in_use(0);
    freed.store(true, std::memory_order_release);
    s.end();
    s.begin(p + hd::page_size, 3);
    s.set_in_use(0);
  });
  const bool is_free = freed.load(std::memory_order_acquire);
  const hd::collected_block b = s.find(p);
  model::check(b.start == nullptr || !is_free, "a free block is found");
  model::check(b.start == nullptr || b.size == hd::page_size, "it has the size of another");
  other.join();
  model::check(s.find(p).start == nullptr, "a free block is found at last");
  model::check(s.find(p + 3 * hd::page_size).size == 3 * hd::page_size, "a block in use is not found at last");
}

/// A block is freed by one and allocated by another.
void reuse_meets_free(heap&) {
  const cache_of_kind a, b;
  char* const p = a.allocate();
  char* const stays = a.allocate();
  model::thread sweeper([&] { b.free(p); });
  model::thread collector([&] {
    is_found(p);
    model::check(is_found(stays), "a block in use is not found");
  });
  char* const again = a.allocate();
  model::check(is_found(again), "a block is not found at once");
  sweeper.join();
  collector.join();
  model::check(is_found(again) && is_found(stays), "a block in use is not found at last");
  model::check(again == p || !is_found(p), "a free block is found at last");
  a.free(again);
  a.free(stays);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(as_it_is)
BOOST_AUTO_TEST_CASE(next_life) { right(lookup_meets_next_life); }
BOOST_AUTO_TEST_CASE(next_life_alone) { right(look_meets_next_life); }
BOOST_AUTO_TEST_CASE(reuse) { right(reuse_meets_free); }
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(planted)
BOOST_AUTO_TEST_CASE(found_by_one_look) { wrong(model::plant::found_by_one_look, lookup_meets_next_life); }
BOOST_AUTO_TEST_CASE(in_use_without_release) { wrong(model::plant::in_use_without_release, look_meets_next_life); }
BOOST_AUTO_TEST_CASE(bytes_without_release) { wrong(model::plant::bytes_without_release, look_meets_next_life); }
BOOST_AUTO_TEST_CASE(cleared_when_free) { wrong(model::plant::cleared_when_free, reuse_meets_free); }
BOOST_AUTO_TEST_SUITE_END()
