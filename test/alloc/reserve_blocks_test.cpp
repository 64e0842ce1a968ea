// SPDX-License-Identifier: BSL-1.0
//
// Blocks for threads that must not touch the heap. That they are given is tested in fork_test.cpp.
#include "reserve_blocks.hpp"

#include <algorithm>
#include <atomic>
#include <barrier>
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <cstring>
#include <random>
#include <thread>
#include <utility>
#include <vector>

using heddle::detail::reserve_blocks;

namespace {

constexpr std::size_t kib = 1024, mib = 1024 * kib;

std::uintptr_t number(const void* p) { return reinterpret_cast<std::uintptr_t>(p); }

/// Blocks that one thread has, each full of its own mark.
class held_blocks {
 public:
  held_blocks(reserve_blocks& from, std::uint32_t seed) : from_(from), random_(seed) {}

  bool ask_for(std::size_t size) {
    void* const p = from_.allocate(16, size);
    if (p == nullptr) return false;
    const auto mark = static_cast<unsigned char>(random_());
    std::memset(p, mark, size);
    all_.push_back({static_cast<unsigned char*>(p), size, mark});
    return true;
  }
  bool ask_for_any() { return ask_for(1 + random_() % (random_() % 50 == 0 ? 100 * kib : kib)); }
  /// Frees one at random. Whether it was as it had been left.
  bool free_one() {
    std::swap(all_[random_() % all_.size()], all_.back());
    const block b = all_.back();
    all_.pop_back();
    const bool right = from_.contains(b.at) && reserve_blocks::size_of(b.at) == b.size &&
                       std::all_of(b.at, b.at + b.size, [&](unsigned char c) { return c == b.mark; });
    from_.deallocate(b.at);
    return right;
  }
  std::size_t count() const { return all_.size(); }

 private:
  struct block {
    unsigned char* at;
    std::size_t size;
    unsigned char mark;
  };
  reserve_blocks& from_;
  std::mt19937 random_;
  std::vector<block> all_;
};

/// Asks and frees, so that it has up to so many blocks. Returns what went wrong.
std::size_t use(held_blocks& mine, int calls, std::size_t most) {
  std::size_t wrong = 0;
  for (int i = 0; i != calls; ++i) {
    wrong += !mine.ask_for_any();
    if (mine.count() >= most)
      while (mine.count() > most / 7) wrong += !mine.free_one();
  }
  while (mine.count() != 0) wrong += !mine.free_one();
  return wrong;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(reserve)

BOOST_AUTO_TEST_CASE(a_block_is_aligned_and_knows_its_size) {
  static reserve_blocks r;
  int elsewhere = 0;
  for (std::size_t alignment : {std::size_t{1}, std::size_t{16}, std::size_t{64}, 8 * kib, 64 * kib, 4 * mib})
    for (std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{17}, std::size_t{5'000}, 300 * kib, 6 * mib}) {
      auto* const p = static_cast<char*>(r.allocate(alignment, size));
      BOOST_TEST_REQUIRE(p != nullptr);
      BOOST_TEST(number(p) % std::max<std::size_t>(alignment, 16) == 0u);
      BOOST_TEST(reserve_blocks::size_of(p) == size);
      BOOST_TEST(r.contains(p));
      if (size != 0) BOOST_TEST((r.contains(p + size - 1) && (p[0] = p[size - 1] = 1)));
      BOOST_TEST(!r.contains(&elsewhere));
      r.deallocate(p);
    }
  BOOST_TEST(r.allocate(16, std::size_t{1} << 60) == nullptr);
  BOOST_TEST(r.allocate(std::size_t{1} << 60, 16) == nullptr);
}

BOOST_AUTO_TEST_CASE(blocks_stay_as_they_are_while_others_come_and_go) {
  static reserve_blocks r;
  held_blocks mine(r, 1);
  BOOST_TEST(use(mine, 20'000, 700) == 0u);
  BOOST_TEST(use(mine, 2'000, 1) == 0u);
}

BOOST_AUTO_TEST_CASE(threads_ask_and_free_at_the_same_time) {
  static reserve_blocks r;
  constexpr std::uint32_t count = 20;
  std::atomic<std::size_t> wrong{0};
  std::barrier together(count);
  std::vector<std::thread> threads;
  for (std::uint32_t t = 0; t != count; ++t)
    threads.emplace_back([&, t] {
      held_blocks mine(r, t);
      together.arrive_and_wait();
      wrong += use(mine, 2'000, 50);
    });
  for (auto& t : threads) t.join();
  BOOST_TEST(wrong == 0u);
}

/// Memory goes back when the last block in it does. A little is kept for the next.
BOOST_AUTO_TEST_CASE(large_memory_goes_with_its_last_block) {
  static reserve_blocks r;
  void* const alone = r.allocate(16, 20 * mib);
  r.deallocate(alone);
  BOOST_TEST(!r.contains(alone));
  std::vector<void*> many;
  for (int i = 0; i != 100; ++i) many.push_back(r.allocate(16, 200 * kib));
  for (void* p : many) BOOST_TEST_REQUIRE(r.contains(p));
  for (void* p : many) r.deallocate(p);
  BOOST_TEST(std::none_of(many.begin(), many.end(), [](void* p) { return r.contains(p); }));
}

/// Chunks become larger: else there would be an end after 16,384.
BOOST_AUTO_TEST_CASE(a_long_fork_may_see_many_blocks) {
  static reserve_blocks r;
  std::vector<void*> all(20'000);
  for (void*& p : all) p = r.allocate(16, 60 * kib);
  BOOST_TEST(std::count(all.begin(), all.end(), nullptr) == 0);
  for (void* p : all)
    if (p != nullptr) r.deallocate(p);
}

/// It has an end; what is freed then can be had again.
BOOST_AUTO_TEST_CASE(it_may_have_no_more) {
  static reserve_blocks r;
  std::vector<void*> all;
  for (void* p = nullptr; all.size() != 5'000 && (p = r.allocate(16, 5 * mib)) != nullptr;) all.push_back(p);
  BOOST_TEST(all.size() < 5'000u);
  BOOST_TEST_REQUIRE(all.size() > 1'000u);
  r.deallocate(all[100]);
  all[100] = r.allocate(16, 5 * mib);
  BOOST_TEST(all[100] != nullptr);
  std::sort(all.begin(), all.end());
  for (std::size_t i = 1; i != all.size(); ++i) BOOST_TEST_REQUIRE(number(all[i]) - number(all[i - 1]) >= 5 * mib);
  for (void* p : all)
    if (p != nullptr) r.deallocate(p);
}

/// Blocks from before a fork are the child's, too; other threads may have been about to cut theirs beside them.
BOOST_AUTO_TEST_CASE(a_child_begins_elsewhere) {
  static reserve_blocks r;
  auto* const before = static_cast<char*>(r.allocate(16, 100));
  std::memset(before, 1, 100);
  r.forked();
  auto* const after = static_cast<char*>(r.allocate(16, 100));
  std::memset(after, 2, 100);
  BOOST_TEST((number(after) - number(before) > 4 * kib && number(before) - number(after) > 4 * kib));
  BOOST_TEST(r.contains(before));
  BOOST_TEST(before[99] == 1);
  r.deallocate(before);
  r.deallocate(after);
}

BOOST_AUTO_TEST_CASE(deferred_blocks_are_taken_once) {
  static reserve_blocks r;
  void* blocks[3][2];
  for (auto& b : blocks) r.defer(b);
  std::vector<void*> taken;
  r.take_deferred([&](void* p) { taken.push_back(p); });
  r.take_deferred([](void*) { BOOST_TEST(false, "taken twice"); });
  BOOST_TEST(taken.size() == 3u);
  for (auto& b : blocks) BOOST_TEST(std::count(taken.begin(), taken.end(), static_cast<void*>(b)) == 1);
  r.defer(blocks[0]);
  r.forked();
  r.take_deferred([](void*) { BOOST_TEST(false, "the parent's"); });
}

/// To the last byte of a chunk, and no further.
BOOST_AUTO_TEST_CASE(contains_its_chunks_exactly) {
  reserve_blocks from;
  const std::size_t large = 40 * mib;  // a chunk for it alone, of the next power of two
  auto* const p = static_cast<char*>(from.allocate(16, large));
  BOOST_REQUIRE(p != nullptr);
  char* const begin = p - number(p) % 4096;
  BOOST_TEST(p - begin < 256);
  BOOST_TEST(from.contains(begin));
  BOOST_TEST(!from.contains(begin - 1));
  BOOST_TEST(from.contains(begin + 64 * mib - 1));
  BOOST_TEST(!from.contains(begin + 64 * mib));
  from.deallocate(p);
  BOOST_TEST(!from.contains(p));
}

BOOST_AUTO_TEST_SUITE_END()
