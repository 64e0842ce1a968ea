// SPDX-License-Identifier: BSL-1.0
#include "heddle/arena.hpp"

#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <cstring>
#include <limits>
#include <map>
#include <new>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "heddle/alloc.hpp"
#include "support/leak_check.hpp"

namespace {

namespace alloc = heddle::alloc;
using alloc::arena;

std::size_t live_bytes() { return alloc::get_statistics().in_use(); }

/// What has been given out, each filled with a byte of its own.
class filled {
 public:
  void add(void* p, std::size_t n) {
    const auto mark = static_cast<unsigned char>(all_.size() % 251 + 1);
    std::memset(p, mark, n);
    all_.emplace_back(static_cast<unsigned char*>(p), n);
  }
  std::size_t overwritten() const {
    std::size_t wrong = 0;
    for (std::size_t i = 0; i != all_.size(); ++i)
      for (std::size_t k = 0; k != all_[i].second; ++k) wrong += all_[i].first[k] != i % 251 + 1;
    return wrong;
  }

 private:
  std::vector<std::pair<unsigned char*, std::size_t>> all_;
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(arenas, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(what_it_gives_is_apart_and_aligned) {
  const std::size_t earlier = live_bytes();
  {
    arena a;
    BOOST_TEST(a.held() == 0u);
    filled all;
    std::uint32_t random = 1;
    for (int i = 0; i < 20'000; ++i) {
      random = random * 1664525 + 1013904223;
      const std::size_t size = random >> 8 & 127 ? random >> 24 : random >> 12;
      const std::size_t alignment = std::size_t{1} << (random >> 5) % 9;
      void* const p = a.allocate(size, alignment);
      if (reinterpret_cast<std::uintptr_t>(p) % alignment != 0) BOOST_ERROR("not aligned");
      all.add(p, size);
    }
    BOOST_TEST(all.overwritten() == 0u);
    BOOST_TEST(live_bytes() == earlier + a.held());
  }
  BOOST_TEST(live_bytes() == earlier);
}

BOOST_AUTO_TEST_CASE(nothing_is_never_null) {
  arena a;
  BOOST_TEST(a.allocate(0) != nullptr);
  for (int i = 0; i < 10'000; ++i)
    if (a.allocate(0, 1) == nullptr || a.allocate(16) == nullptr) BOOST_ERROR("null");
}

BOOST_AUTO_TEST_CASE(it_is_dense) {
  arena a;
  for (int i = 0; i < 1'000'000; ++i) (void)a.allocate(24, 8);
  BOOST_TEST(a.held() < 24'000'000u + 3 * arena::largest_block);
}

BOOST_AUTO_TEST_CASE(reset_keeps_one_block_and_release_none) {
  const std::size_t earlier = live_bytes();
  arena a;
  for (int i = 0; i < 100'000; ++i) (void)a.allocate(100);
  (void)a.allocate(5 << 20);
  a.reset();
  const std::size_t kept = a.held();
  BOOST_TEST(kept == arena::largest_block);
  BOOST_TEST(live_bytes() == earlier + kept);
  for (int round = 0; round < 100; ++round) {
    filled all;
    for (int i = 0; i < 1'000; ++i) all.add(a.allocate(1'000), 1'000);
    BOOST_TEST(all.overwritten() == 0u);
    BOOST_TEST(a.held() == kept);  // the same block each time
    a.reset();
  }
  a.release();
  BOOST_TEST(live_bytes() == earlier);
  BOOST_TEST(a.held() == 0u);
  BOOST_TEST(a.allocate(10) != nullptr);
}

BOOST_AUTO_TEST_CASE(what_is_large_has_a_block_of_its_own) {
  const std::size_t earlier = live_bytes();
  arena a;
  filled all;
  for (int i = 0; i < 5; ++i) {
    all.add(a.allocate(3 << 20), 3 << 20);  // the first one stands alone: there is no current block yet
    if (i != 0) all.add(a.allocate(10), 10);
  }
  BOOST_TEST(all.overwritten() == 0u);
  BOOST_TEST(a.held() < 5u * (3 << 20) + (2 << 20));
  a.reset();
  BOOST_TEST(a.held() <= 4096u);
  arena b;
  (void)b.allocate(3 << 20);
  b.reset();
  BOOST_TEST(b.held() == 0u);
  BOOST_TEST(live_bytes() == earlier + a.held());
}

BOOST_AUTO_TEST_CASE(a_failure_leaves_it_as_it_was) {
  arena a;
  void* const p = a.allocate(10);
  const std::size_t held = a.held();
  for (const std::size_t size : {std::numeric_limits<std::size_t>::max(), std::size_t{1} << 60, std::size_t{1} << 46})
    BOOST_CHECK_THROW((void)a.allocate(size), std::bad_alloc);
  BOOST_CHECK_THROW((void)a.allocate(1, std::size_t{1} << 60), std::bad_alloc);
  BOOST_TEST(a.held() == held);
  BOOST_TEST(static_cast<char*>(p) - static_cast<char*>(a.allocate(10)) == 16);
}

BOOST_AUTO_TEST_CASE(containers_of_pmr_live_in_it) {
  arena a;
  std::pmr::map<int, std::pmr::string> m(&a);
  for (int i = 0; i < 1'000; ++i) m.emplace(i, std::pmr::string(50, static_cast<char>('a' + i % 26)));
  std::size_t right = 0;
  for (const auto& [i, s] : m) right += s == std::pmr::string(50, static_cast<char>('a' + i % 26));
  BOOST_TEST(right == 1'000u);
  arena b;
  BOOST_TEST((a.is_equal(a) && !a.is_equal(b)));
}

BOOST_AUTO_TEST_CASE(objects_are_made_in_place) {
  struct alignas(64) point {
    int x, y;
  };
  arena a;
  for (int i = 0; i < 1'000; ++i) {
    const point* const p = a.create<point>(i, 2);
    if (p->x != i || p->y != 2 || reinterpret_cast<std::uintptr_t>(p) % 64 != 0) BOOST_ERROR("wrong");
  }
}

/// A block of its own has room for what is asked for wherever its alignment has it begin.
BOOST_AUTO_TEST_CASE(large_aligned_blocks_have_room) {
  for (const std::size_t alignment : {64u, 4096u, 65'536u})
    for (const std::size_t size : {std::size_t{5000}, std::size_t{100'000}}) {
      arena a(1024);
      void* const p = a.allocate(size, alignment);
      BOOST_TEST(reinterpret_cast<std::uintptr_t>(p) % alignment == 0u);
      BOOST_TEST(a.held() >= size + alignment, size << " bytes at " << alignment);
      std::memset(p, 1, size);
    }
}

BOOST_AUTO_TEST_CASE(the_first_block_has_1_KiB_to_1_MiB) {
  for (const auto& [asked, least, most] :
       {std::tuple{std::size_t{0}, std::size_t{1024}, std::size_t{2048}},
        {1024, 1024, 2048},
        {5000, 5000, 10'000},
        {arena::largest_block, arena::largest_block, arena::largest_block * 5 / 4},
        {64 * arena::largest_block, arena::largest_block, arena::largest_block * 5 / 4}}) {
    arena a(asked);
    BOOST_TEST(a.allocate(1) != nullptr);
    BOOST_TEST(a.held() >= least, "asked for " << asked);
    BOOST_TEST(a.held() <= most, "asked for " << asked);
  }
}

/// Also where all blocks together are no larger than the largest may be.
BOOST_AUTO_TEST_CASE(reset_keeps_the_last_block_alone) {
  arena a(1024);
  for (int i = 0; i != 1000; ++i) BOOST_TEST(a.allocate(100) != nullptr);
  const std::size_t full = a.held();
  a.reset();
  BOOST_TEST(a.held() != 0u);
  BOOST_TEST(a.held() * 4 < full * 3);
}

BOOST_AUTO_TEST_CASE(after_release_it_takes_memory_anew) {
  arena a;
  BOOST_TEST(a.allocate(100) != nullptr);
  a.release();
  BOOST_TEST(a.held() == 0u);
  void* const p = a.allocate(100);
  BOOST_TEST(a.held() >= 100u);
  std::memset(p, 1, 100);
}

BOOST_AUTO_TEST_SUITE_END()
