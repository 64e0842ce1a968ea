// SPDX-License-Identifier: BSL-1.0
//
// Threads that come and go, and free what others have allocated. Every block carries a pattern.
#include <array>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include "blocks.hpp"
#include "scavenger.hpp"
#include "support/leak_check.hpp"
#include "support/scale.hpp"

namespace blocks = heddle::detail::blocks;

namespace {

/// What stands at the beginning of a block; the rest is filled with the tag.
struct header {
  std::size_t size;
  unsigned char tag;
};

std::atomic<unsigned> broken{0};

void fill(void* p, std::size_t size, unsigned char tag) {
  const header h{size, tag};
  std::memset(p, tag, size);
  std::memcpy(p, &h, sizeof h);
}
/// Returns the size. Large blocks are looked at here and there.
std::size_t check(const void* p) {
  header h;
  std::memcpy(&h, p, sizeof h);
  const auto* const bytes = static_cast<const unsigned char*>(p);
  const std::size_t step = h.size > 8'192 ? 511 : 1;
  for (std::size_t i = sizeof h; i < h.size; i += step)
    if (bytes[i] != h.tag) {
      ++broken;
      break;
    }
  return h.size;
}

/// Where threads leave blocks for one another.
class exchange {
 public:
  void* swap(std::size_t i, void* p) { return slots_[i % slots_.size()].exchange(p, std::memory_order_acq_rel); }
  void clear() {
    for (auto& slot : slots_)
      if (void* const p = slot.exchange(nullptr)) check(p), blocks::deallocate(p);
  }

 private:
  std::array<std::atomic<void*>, 256> slots_{};
};

std::size_t a_size(std::mt19937& random) {
  const std::size_t least = sizeof(header), n = random();
  switch (random() % 32) {
    case 0: return least + n % 300'000;
    case 1: return least + n % 2'500'000;
    case 2:
    case 3: return least + n % 20'000;
    default: return least + n % 500;
  }
}

void* make(std::mt19937& random) {
  const std::size_t size = a_size(random);
  void* p = nullptr;
  if (random() % 8 == 0) {
    const std::size_t alignment = std::size_t{16} << random() % 12;
    p = blocks::allocate_aligned(alignment, size);
    if (reinterpret_cast<std::uintptr_t>(p) % alignment != 0) ++broken;
  } else if (random() % 8 == 0) {
    p = blocks::allocate_zeroed(size);
    if (p != nullptr && static_cast<unsigned char*>(p)[size - 1] != 0) ++broken;
  } else {
    p = blocks::allocate(size);
  }
  if (p == nullptr || blocks::usable_size(p) < size) return ++broken, nullptr;
  fill(p, size, static_cast<unsigned char>(random()));
  return p;
}

void* another_size(void* p, std::mt19937& random) {
  const std::size_t old_size = check(p), size = a_size(random);
  header h;
  std::memcpy(&h, p, sizeof h);
  auto* const q = static_cast<unsigned char*>(blocks::reallocate(p, size));
  if (q == nullptr) return ++broken, p;
  const std::size_t last = std::min(old_size, size) - 1;
  if (last >= sizeof h && q[last] != h.tag) ++broken;
  fill(q, size, h.tag);
  return q;
}

void work(exchange& shared, unsigned seed, int operations) {
  std::mt19937 random(seed);
  std::array<void*, 64> own{};
  for (int i = 0; i != operations; ++i) {
    void*& p = own[random() % own.size()];
    if (p == nullptr) {
      p = make(random);
    } else if (random() % 8 == 0) {
      p = another_size(p, random);
    } else if (random() % 2 == 0) {
      p = shared.swap(random(), p);
      if (p != nullptr) check(p), blocks::deallocate(p);
      p = nullptr;
    } else {
      check(p), blocks::deallocate(p);
      p = nullptr;
    }
  }
  for (void* const p : own)  // some of it is left to others when the thread ends
    if (p != nullptr)
      if (void* const q = shared.swap(random(), p)) check(q), blocks::deallocate(q);
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(alloc_stress, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(threads_come_and_go) {
  exchange shared;
  const std::size_t before_all = heddle::detail::the_mheap.figures().in_spans;
  unsigned seed = 0;
  for (int round = 0; round != heddle::testing::times(100); ++round) {
    std::vector<std::thread> threads;
    for (int t = 0; t != 4; ++t) threads.emplace_back([&shared, s = ++seed] { work(shared, s, 4'000); });
    if (round % 10 == 0) heddle::detail::the_scavenger.release_all();
    for (std::thread& t : threads) t.join();
    BOOST_REQUIRE_EQUAL(broken.load(), 0u);
  }
  shared.clear();
  if (heddle::detail::this_mcache != &heddle::detail::nobodys_mcache) heddle::detail::this_mcache->drain();
  heddle::detail::the_scavenger.release_all();
  BOOST_TEST(heddle::detail::the_mheap.figures().in_spans == before_all, "spans are left over");
}

BOOST_AUTO_TEST_SUITE_END()
