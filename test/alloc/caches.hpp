// SPDX-License-Identifier: BSL-1.0
//
// Caches that a test uses as their threads would.
#pragma once

#include <boost/test/unit_test.hpp>
#include <cstddef>
#include <vector>

#include "mcache.hpp"
#include "mcentral.hpp"
#include "nobody.hpp"
#include "options.hpp"
#include "scavenger.hpp"
#include "support/leak_check.hpp"

namespace caches {

using namespace heddle::detail;

/// A cache of the pool; what is in use at the beginning must be all that is in use at the end.
class cache {
 public:
  cache() : c_(the_mcache_pool.take()) { BOOST_REQUIRE(c_ != nullptr); }
  ~cache() {
    if (c_ != nullptr) the_mcache_pool.give(*c_);
  }
  cache(const cache&) = delete;
  cache& operator=(const cache&) = delete;

  void* allocate(std::size_t size) {
    const size_class c = class_for(size);
    block_list& l = c_->slot(c);
    if (l.free == nullptr) return c_->refill(c);
    free_block* const b = l.free;
    l.free = b->next;
    ++l.live;
    return b;
  }
  std::vector<void*> allocate(std::size_t size, std::size_t n) {
    std::vector<void*> all;
    for (std::size_t i = 0; i != n; ++i) all.push_back(allocate(size));
    return all;
  }
  void free(void* p) {
    span& s = the_map.span_of(p);
    magazine& m = c_->magazine_of(the_map.tag_of(p));
    if (m.is_full()) return c_->free_behind(s, p);
    auto* const b = static_cast<free_block*>(p);
    b->next = m.free;
    m.free = b;
    --m.live;
  }
  void free(const std::vector<void*>& all) {
    for (void* const p : all) free(p);
  }
  void end() {
    the_mcache_pool.give(*c_);
    c_ = nullptr;
  }
  mcache* operator->() const { return c_; }
  mcache* get() const { return c_; }

 private:
  mcache* c_;
};

inline std::size_t in_spans() {
  the_scavenger.release_all();
  return the_mheap.figures().in_spans;
}

struct nothing_kept : heddle::testing::leak_check {
  std::size_t before_in_spans = in_spans();
  void teardown() {
    BOOST_TEST(in_spans() == before_in_spans, "spans are left over");
    leak_check::teardown();
  }
};

/// Tests of exact behaviour: none of them is about caches while memory waits.
struct no_scavenger {
  no_scavenger() { the_options.scavenger = scavenging::off; }
};

inline span& span_of(void* p) { return the_map.span_of(p); }
inline mcache* owner_of(void* p) { return span_of(p).owner.load(std::memory_order_relaxed); }
inline std::size_t capacity_for(std::size_t size) { return class_info[class_for(size)].capacity; }
inline mcentral& central_for(std::size_t size) { return the_mcentrals[class_for(size)]; }

inline constexpr std::size_t sizes[] = {1, 16, 40, 128, 136, 1000, 1024, 1025, 4096, 16'000, 100'000, 300'000, 1 << 20};

}  // namespace caches
