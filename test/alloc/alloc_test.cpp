// SPDX-License-Identifier: BSL-1.0
#include "heddle/alloc.hpp"

#include <algorithm>
#include <array>
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <cstring>
#include <limits>
#include <new>
#include <thread>
#include <vector>

#include "support/death.hpp"
#include "support/leak_check.hpp"

namespace {

using heddle::testing::death_of;
namespace alloc = heddle::alloc;

constexpr std::size_t kib = 1024, mib = 1024 * kib;
constexpr std::size_t no_size = std::numeric_limits<std::size_t>::max();

bool aligned_to(const void* p, std::size_t a) { return reinterpret_cast<std::uintptr_t>(p) % a == 0; }

/// Sizes around each power of two, to beyond what has a mapping of its own.
std::vector<std::size_t> sizes() {
  std::vector<std::size_t> all{0, 1, 3};
  for (std::size_t n = 16; n <= 64 * mib; n *= 2)
    for (std::size_t size : {n - 1, n, n + 1, n + n / 3}) all.push_back(size);
  return all;
}

/// Takes the limit away again.
struct limited {
  explicit limited(std::size_t bytes) { alloc::set_limit(bytes); }
  ~limited() { alloc::set_limit(0); }
};

std::size_t live_bytes() { return alloc::get_statistics().in_use(); }

std::size_t demand() {
  const alloc::statistics s = alloc::get_statistics();
  return s.in_spans + s.huge;
}

/// As many blocks as the limit allows, at most `most`, all of whose bytes are written.
std::vector<void*> allocate_until_refused(std::size_t size, std::size_t most) {
  std::vector<void*> all;
  while (all.size() != most) {
    void* const p = alloc::allocate(size, std::nothrow);
    if (p == nullptr) break;
    std::memset(p, 1, size);
    all.push_back(p);
  }
  return all;
}

void free_all(std::vector<void*>& all) {
  for (void* p : all) alloc::deallocate(p);
  all.clear();
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(allocation, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(blocks_of_every_size_are_aligned_writable_and_apart) {
  const std::size_t earlier = live_bytes();
  for (const std::size_t size : sizes()) {
    std::array<char*, 3> p{};
    for (std::size_t i = 0; i != p.size(); ++i) {
      p[i] = static_cast<char*>(alloc::allocate(size));
      BOOST_TEST(aligned_to(p[i], 16), size);
      BOOST_TEST(alloc::usable_size(p[i]) >= size);
      if (size < 2 * mib) std::memset(p[i], static_cast<int>('a' + i), alloc::usable_size(p[i]));
    }
    if (size < 2 * mib && size != 0)
      for (std::size_t i = 0; i != p.size(); ++i) {
        BOOST_TEST(p[i][0] == static_cast<char>('a' + i));
        BOOST_TEST(p[i][size - 1] == static_cast<char>('a' + i));
      }
    alloc::deallocate(p[0]);
    alloc::deallocate(p[1], size);
    alloc::deallocate(p[2], alloc::usable_size(p[2]));
  }
  BOOST_TEST(live_bytes() == earlier);
  alloc::deallocate(nullptr);
  alloc::deallocate(nullptr, 100);
  BOOST_TEST(alloc::usable_size(nullptr) == 0u);
}

BOOST_AUTO_TEST_CASE(a_good_size_is_what_a_block_has) {
  for (const std::size_t size : sizes()) {
    void* const p = alloc::allocate(size);
    BOOST_TEST(alloc::usable_size(p) == alloc::good_size(size), size);
    BOOST_TEST(alloc::good_size(alloc::good_size(size)) == alloc::good_size(size));
    alloc::deallocate(p);
  }
}

BOOST_AUTO_TEST_CASE(alignment_may_be_any_power_of_two) {
  const std::size_t earlier = live_bytes();
  for (std::size_t a = 1; a <= 64 * mib; a *= 2)
    for (const std::size_t size : {std::size_t{1}, std::size_t{100}, 5000 * std::size_t{1}, 3 * mib}) {
      void* const p = alloc::allocate(size, std::align_val_t{a});
      void* const q = alloc::allocate(size, std::align_val_t{a}, std::nothrow);
      BOOST_TEST((aligned_to(p, a) && aligned_to(q, a) && p != q), a << " " << size);
      std::memset(p, 1, size);
      alloc::deallocate(p);
      alloc::deallocate(q);
    }
  BOOST_TEST(live_bytes() == earlier);
  for (const std::size_t wrong : {0, 3, 48}) {
    BOOST_CHECK_THROW((void)alloc::allocate(1, std::align_val_t{wrong}), std::bad_alloc);
    BOOST_TEST(alloc::allocate(1, std::align_val_t{wrong}, std::nothrow) == nullptr);
  }
}

BOOST_AUTO_TEST_CASE(zeroed_blocks_are_zero_where_others_were) {
  for (const std::size_t size : sizes()) {
    if (size > 2 * mib) break;
    for (int round = 0; round < 3; ++round) {
      auto* const p = static_cast<unsigned char*>(alloc::allocate_zeroed(size));
      std::size_t wrong = 0;
      for (std::size_t i = 0; i != size; ++i) wrong += p[i] != 0;
      BOOST_TEST(wrong == 0u, size);
      std::memset(p, 0xff, size);
      alloc::deallocate(p);
    }
  }
}

/// On the short paths, which no test of the caches goes.
BOOST_AUTO_TEST_CASE(what_was_freed_last_comes_first) {
  for (const std::size_t size : {16u, 112u, 1024u, 4096u}) {
    // More than the largest magazine takes; looked at are as many as the smallest one.
    std::vector<void*> all(std::clamp<std::size_t>(16 * kib / size, 2, 256) + 1);
    for (void*& p : all) p = alloc::allocate(size);
    for (void* const p : all) alloc::deallocate(p);
    const std::size_t last = std::clamp<std::size_t>(4 * kib / size, 1, 64);
    std::vector<void*> again(last);
    for (void*& p : again) p = alloc::allocate(size);
    BOOST_TEST(std::equal(again.begin(), again.end(), all.rbegin()), "blocks of " << size);
    free_all(again);
  }
}

/// A block stays as long as more than half of it is used; else the memory would be lost to others.
BOOST_AUTO_TEST_CASE(reallocate_moves_what_is_half_empty) {
  for (const std::size_t size : {std::size_t{64}, std::size_t{1024}, std::size_t{8192}, std::size_t{262'144}}) {
    void* const p = alloc::allocate(size);
    void* const same = alloc::reallocate(p, size / 2 + 1);
    BOOST_TEST(same == p, size << " bytes");
    void* const moved = alloc::reallocate(same, size / 2);
    BOOST_TEST(alloc::usable_size(moved) < size, size << " bytes");
    alloc::deallocate(moved);
  }
}

BOOST_AUTO_TEST_CASE(reallocate_keeps_the_contents) {
  auto* p = static_cast<unsigned char*>(alloc::reallocate(nullptr, 1));
  p[0] = 7;
  std::size_t have = 1;
  for (const bool up : {true, false})
    for (std::size_t size = up ? 2 : 40 * mib; size > 1 && size < 80 * mib; size = up ? size * 2 : size / 3) {
      p = static_cast<unsigned char*>(alloc::reallocate(p, size));
      BOOST_TEST(p[0] == 7);
      BOOST_TEST(alloc::usable_size(p) >= size);
      const std::size_t both = std::min(size, have);
      BOOST_TEST((both < 2 || p[both / 2] == static_cast<unsigned char>(both / 2 == 0 ? 7 : 9)), size);
      std::memset(p + 1, 9, size - 1);
      have = size;
    }
  BOOST_TEST(alloc::reallocate(p, no_size, std::nothrow) == nullptr);
  BOOST_CHECK_THROW((void)alloc::reallocate(p, no_size), std::bad_alloc);
  BOOST_TEST(p[0] == 7);
  p = static_cast<unsigned char*>(alloc::reallocate(p, 0));
  BOOST_TEST(p != nullptr);
  alloc::deallocate(p);
}

BOOST_AUTO_TEST_CASE(what_cannot_be_had_throws_or_is_null) {
  for (const std::size_t size : {no_size, no_size / 2, no_size - 4096, std::size_t{1} << 47}) {
    BOOST_CHECK_THROW((void)alloc::allocate(size), std::bad_alloc);
    BOOST_CHECK_THROW((void)alloc::allocate_zeroed(size), std::bad_alloc);
    BOOST_CHECK_THROW((void)alloc::allocate(size, std::align_val_t{64}), std::bad_alloc);
    BOOST_TEST(alloc::allocate(size, std::nothrow) == nullptr);
    BOOST_TEST(alloc::allocate_zeroed(size, std::nothrow) == nullptr);
    BOOST_TEST(alloc::allocate(size, std::align_val_t{64}, std::nothrow) == nullptr);
  }
}

BOOST_AUTO_TEST_CASE(every_size_may_be_said_that_the_block_can_have) {
  for (const std::size_t size :
       {0, 1, 16, 17, 100, 1000, 8000, 8192, 40'000, 1'040'000, 1'048'576, 1'048'577, 3'000'000, 40'000'000})
    for (const std::size_t alignment : {1, 16, 32, 64, 4096, 8192, 16384, 2'097'152}) {
      const std::align_val_t a{alignment};
      const std::size_t usable = [&] {
        void* const p = alloc::allocate(size, a);
        const std::size_t n = alloc::usable_size(p);
        alloc::deallocate(p, size, a);
        return n;
      }();
      for (const std::size_t as : {(size + usable) / 2, usable}) alloc::deallocate(alloc::allocate(size, a), as, a);
    }
  alloc::deallocate(nullptr, 0, std::align_val_t{64});
  alloc::deallocate(nullptr, 100, std::align_val_t{1});
}

BOOST_AUTO_TEST_CASE(misuse_is_reported) {
  const auto inside = death_of([] { alloc::deallocate(static_cast<char*>(alloc::allocate(2 * mib)) + 8); });
  BOOST_TEST(inside.signal == SIGABRT);
  BOOST_TEST(inside.says("not aligned to 16"), inside.text);
  const auto wrong = death_of([] { alloc::deallocate(alloc::allocate(100), 10); });
  BOOST_TEST(wrong.says("as 10 bytes, but the block has 112"), wrong.text);
  constexpr std::align_val_t at64{64};
  const auto of_aligned = death_of([] { alloc::deallocate(alloc::allocate(256, at64), 64, at64); });
  BOOST_TEST(of_aligned.says("as 64 bytes, but the block has 256"), of_aligned.text);
  const auto of_large = death_of([] { alloc::deallocate(alloc::allocate(2 * mib), 2 * mib - 8192); });
  BOOST_TEST(of_large.says("as 2088960 bytes, but the block has 2097152"), of_large.text);
  const auto of_huge = death_of([] { alloc::deallocate(alloc::allocate(64 * mib), 64 * mib - 4096); });
  BOOST_TEST(of_huge.says("as 67104768 bytes, but the block has 67108864"), of_huge.text);
  const auto askew = death_of([] {
    char* const p = static_cast<char*>(alloc::allocate(8192, at64));
    alloc::deallocate(p + 64, 8192, std::align_val_t{128});
  });
  BOOST_TEST(askew.says("as aligned to 128 bytes, which it is not"), askew.text);
  int local = 0;
  BOOST_TEST(death_of([&] { alloc::deallocate(&local); }).says("not memory of this heap"));
}

BOOST_AUTO_TEST_CASE(release_gives_memory_back) {
  std::vector<void*> all = allocate_until_refused(100 * kib, 400);
  free_all(all);
  const alloc::statistics earlier = alloc::get_statistics();
  const std::size_t released = alloc::release();
  const alloc::statistics after = alloc::get_statistics();
  BOOST_TEST(released >= 30 * mib);
  BOOST_TEST(after.released >= earlier.released + 30 * mib);
  BOOST_TEST(after.idle_resident == 0u);
}

BOOST_AUTO_TEST_CASE(a_limit_holds_for_blocks_of_every_kind) {
  alloc::release();
  for (const std::size_t size : {std::size_t{64}, std::size_t{1000}, 20 * kib, 300 * kib, 3 * mib, 40 * mib}) {
    const std::size_t limit = demand() + 96 * mib;
    const limited hold(limit);
    BOOST_TEST(alloc::limit() == limit);
    std::vector<void*> all = allocate_until_refused(size, 100 * mib / size + 1000);
    const alloc::statistics s = alloc::get_statistics();
    BOOST_TEST(all.size() * size <= limit, size);  // in spans that were there too, and such of other classes
    BOOST_TEST(all.size() * size >= (size == 40 * mib ? 80 : 72) * mib, size << " " << all.size());
    BOOST_TEST(s.in_spans + s.huge + s.idle_resident <= limit, size);
    BOOST_TEST(s.limit == limit);
    BOOST_CHECK_THROW((void)alloc::allocate(100 * mib), std::bad_alloc);
    BOOST_CHECK_THROW((void)alloc::reallocate(all[0], 200 * mib), std::bad_alloc);
    free_all(all);
  }
  BOOST_TEST(alloc::limit() == 0u);
}

BOOST_AUTO_TEST_CASE(what_is_free_makes_room_under_a_limit) {
  alloc::release();
  const limited hold(demand() + 96 * mib);
  // Pages that were freed are given back for a block that needs a mapping of its own, and the other way round.
  for (int round = 0; round < 3; ++round) {
    std::vector<void*> small = allocate_until_refused(4000, 16 * kib);
    BOOST_TEST(small.size() == 16 * kib);
    BOOST_TEST(alloc::allocate(64 * mib, std::nothrow) == nullptr);
    free_all(small);
    void* const huge = alloc::allocate(64 * mib);
    const alloc::statistics s = alloc::get_statistics();
    BOOST_TEST(s.in_spans + s.huge + s.idle_resident <= s.limit);
    alloc::deallocate(huge);
  }
}

BOOST_AUTO_TEST_CASE(a_limit_below_what_is_in_use_frees_nothing) {
  void* const p = alloc::allocate(2 * mib);
  std::memset(p, 5, 2 * mib);
  {
    const limited hold(1);
    BOOST_CHECK_THROW((void)alloc::allocate(2 * mib), std::bad_alloc);
    BOOST_TEST(static_cast<char*>(p)[mib] == 5);
  }
  alloc::deallocate(alloc::allocate(2 * mib));
  alloc::deallocate(p);
}

BOOST_AUTO_TEST_CASE(blocks_go_from_thread_to_thread) {
  const std::size_t earlier = live_bytes();
  for (const std::size_t size : {std::size_t{24}, std::size_t{500}, 9 * kib, 2 * mib}) {
    std::vector<void*> all;
    std::thread([&] { all = allocate_until_refused(size, 200); }).join();
    BOOST_TEST(all.size() == 200u);
    std::thread([&] { free_all(all); }).join();
  }
  BOOST_TEST(live_bytes() == earlier);
}

BOOST_AUTO_TEST_SUITE_END()
