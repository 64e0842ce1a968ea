// SPDX-License-Identifier: BSL-1.0
//
// Caches whose slots are empty at times, so that calls leave the short paths.
#include <algorithm>
#include <array>
#include <boost/test/unit_test.hpp>
#include <set>
#include <utility>
#include <vector>

#include "caches.hpp"

using namespace heddle::detail;
using namespace caches;

BOOST_TEST_GLOBAL_FIXTURE(no_scavenger);

namespace {

constexpr nanoseconds_t unlimited = nanoseconds_t{1} << 60;

/// Memory waits for calls of the program, which is busy.
struct waiting : nothing_kept {
  scavenging before_scavenging = the_options.scavenger;
  waiting() {
    the_options.scavenger = scavenging::steps;
    the_scavenger.notice_idle(scavenger::worthwhile + 1);
    BOOST_TEST_REQUIRE(the_scavenger.waits_for_calls());
    BOOST_TEST_REQUIRE(!the_scavenger.is_at_rest());
  }
  void teardown() {
    for (int i = 0; i != 100 && the_scavenger.waits(); ++i) the_scavenger.step(5, unlimited);
    BOOST_TEST(!the_scavenger.waits());
    the_options.scavenger = before_scavenging;
    nothing_kept::teardown();
  }
};

constexpr std::size_t watched_sizes[] = {16, 64, 200, 1'000, 8'000, 20'000, 300'000};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(mcaches_watch_calls, nothing_kept)

/// After a knock the short paths find nothing, and the lists are as they were; each answer opens one class again.
BOOST_AUTO_TEST_CASE(a_knock_is_answered_by_class) {
  cache a;
  const std::array<std::size_t, 4> sizes{10, 160, 9'000, class_limit};
  std::vector<void*> all;
  for (const std::size_t size : sizes) {
    void* const p = a.allocate(size);
    all.push_back(a.allocate(size));
    a.free(p);
  }
  const auto has_block = [&](std::size_t size) { return a->short_slot(class_for(size)).free != nullptr; };
  the_mcache_pool.knock();
  for (const std::size_t size : sizes) BOOST_TEST(!has_block(size), size);
  BOOST_TEST(a->small_slot(10).free == nullptr);
  for (const std::size_t size : sizes) {
    BOOST_TEST(&a->slot(class_for(size)) != &nobodys_span);
    a->answer_knock(class_for(size));
    BOOST_TEST(&a->short_slot(class_for(size)) == &a->slot(class_for(size)));
  }
  BOOST_TEST(&a->small_slot(1) == &a->slot(0));
  a.free(all);
}

/// The next call for each class takes the long path, and gets the same block as it would have got otherwise.
BOOST_AUTO_TEST_CASE(each_class_runs_dry_once) {
  cache c;
  for (const std::size_t size : watched_sizes) {
    const std::vector<void*> all = c.allocate(size, 100);
    c.free(all);
    void* const p = c.allocate(size);
    BOOST_TEST(p != nullptr);
    c.free(p);
  }
  c->watch_calls();
  for (std::size_t k = 0; k != class_count; ++k)
    BOOST_TEST_REQUIRE(c->slot(static_cast<size_class>(k)).free == nullptr, class_info[k].size);
  for (const std::size_t size : watched_sizes) {
    void* const p = c.allocate(size);
    void* const q = c.allocate(size);
    BOOST_TEST(p != q);
    BOOST_TEST((c->slot(class_for(size)).free != nullptr || size > 1'000), size);  // nothing waits, so once was enough
    c.free(p);
    c.free(q);
  }
}

/// Blocks that are freed while slots are empty are found again, and count as free.
BOOST_AUTO_TEST_CASE(nothing_is_lost_behind_empty_slots) {
  cache c;
  for (int round = 0; round != 20; ++round)
    for (const std::size_t size : watched_sizes) {
      const std::vector<void*> all = c.allocate(size, 1 + static_cast<std::size_t>(round) * 13);
      c->watch_calls();
      c.free(all);
      c->watch_calls();
    }
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_FIXTURE_TEST_SUITE(mcaches_while_memory_waits, waiting)

/// A thread that allocates and frees the same block again and again comes by, but not each time.
BOOST_AUTO_TEST_CASE(a_pair_is_seen_now_and_then) {
  for (const std::size_t size : {std::size_t{16}, std::size_t{64}, std::size_t{200}, std::size_t{1'000}}) {
    const size_class k = class_for(size);
    for (const std::size_t first : {1, 3, 10, 100, 300}) {
      cache c;
      c.free(c.allocate(size, first));
      c->watch_calls();
      int seen = 0;
      constexpr int pairs = 100'000;
      for (int i = 0; i != pairs; ++i) {
        const bool dry = c->slot(k).free == nullptr;
        void* const p = c.allocate(size);
        seen += dry || c->magazine_of(the_map.tag_of(p)).is_full();
        c.free(p);
      }
      const auto most = static_cast<int>(pairs / std::max<std::size_t>(magazine_bounds[k].least / 4, 1) + 10);
      BOOST_TEST(seen >= pairs / 1'000, size << " bytes, " << first << " at first: " << seen);
      BOOST_TEST(seen <= most, size << " bytes, " << first << " at first: " << seen);
    }
  }
}

BOOST_AUTO_TEST_CASE(whatever_is_allocated_and_freed) {
  cache c, other;
  std::vector<std::pair<void*, std::size_t>> all;
  std::uint32_t state = 1;
  const auto below = [&state](std::uint32_t n) { return (state = state * 1'664'525 + 1'013'904'223) / 65'536 % n; };
  for (int i = 0; i != 200'000; ++i) {
    if (below(2'000) == 0) c->watch_calls();
    if (below(3'000) == 0) c->flush();
    if (below(5'000) == 0) c->drain();
    if (all.size() < 300 && below(2) == 0) {
      const std::size_t size = watched_sizes[below(6)];
      auto* const p = static_cast<unsigned char*>(c.allocate(size));
      BOOST_TEST_REQUIRE(p != nullptr);
      p[0] = p[size - 1] = static_cast<unsigned char>(size);
      all.emplace_back(p, size);
    } else if (!all.empty()) {
      const std::size_t n = below(static_cast<std::uint32_t>(all.size()));
      const auto [p, size] = all[n];
      all[n] = all.back();
      all.pop_back();
      const auto* const bytes = static_cast<unsigned char*>(p);
      BOOST_TEST_REQUIRE((bytes[0] == static_cast<unsigned char>(size) && bytes[size - 1] == bytes[0]));
      (below(4) == 0 ? other : c).free(p);
    }
  }
  for (const auto& [p, size] : all) c.free(p);
}

/// Blocks that another thread has freed are used before any others.
BOOST_AUTO_TEST_CASE(the_owner_collects_what_others_have_freed) {
  for (const std::size_t size : sizes) {
    cache owner, other;
    std::vector<void*> all = owner.allocate(size, capacity_for(size));
    const std::set<void*> first(all.begin(), all.end());
    other.free(all);
    other->flush();
    const std::vector<void*> again = owner.allocate(size, capacity_for(size));
    BOOST_TEST((std::set<void*>(again.begin(), again.end()) == first), size << " bytes");
    std::size_t same = 0;
    for (void* const p : again) same += first.count(p);
    BOOST_TEST(same == first.size());
    owner.free(again);
  }
}

BOOST_AUTO_TEST_SUITE_END()
