// SPDX-License-Identifier: BSL-1.0
//
// malloc and free: any size, none, too much.
#define BOOST_TEST_MODULE shim_malloc
#include <algorithm>
#include <set>
#include <thread>

#include "shim/shim.hpp"

using namespace heddle::testing;

namespace {

struct block {
  void* at;
  std::size_t size;
};

bool aligned_as_promised(const void* p, std::size_t n) {
  return reinterpret_cast<std::uintptr_t>(p) % (n < 16 ? 8 : 16) == 0;
}

constexpr std::size_t too_large[] = {PTRDIFF_MAX - 4095ul, PTRDIFF_MAX,   PTRDIFF_MAX + 1ul, SIZE_MAX - 65536,
                                     SIZE_MAX - 4096,      SIZE_MAX - 15, SIZE_MAX,          std::size_t{1} << 48};

}  // namespace

BOOST_AUTO_TEST_SUITE(malloc_and_free)

BOOST_AUTO_TEST_CASE(blocks_of_every_size_keep_their_bytes_to_themselves) {
  std::vector<block> blocks;
  for (std::size_t n : boundary_sizes(4 * MiB))
    for (int twice = 0; twice != 2; ++twice) {
      void* p = opaque(std::malloc(n));
      BOOST_REQUIRE(p);
      BOOST_REQUIRE_MESSAGE(aligned_as_promised(p, n), p << " of " << n << " bytes");
      fill(p, n);
      blocks.push_back({p, n});
    }
  dice d(1);
  for (std::size_t i = blocks.size(); i > 1; --i) std::swap(blocks[i - 1], blocks[d.below(i)]);
  for (block b : blocks) {
    BOOST_REQUIRE_MESSAGE(holds(b.at, b.size), "a block of " << b.size << " bytes was written by another");
    std::free(b.at);
  }
}

BOOST_AUTO_TEST_CASE(random_lives) {
  dice d(2);
  std::vector<block> blocks(2000, block{nullptr, 0});
  for (int i = 0; i != 200'000; ++i) {
    block& b = blocks[d.below(blocks.size())];
    if (b.at) BOOST_REQUIRE(holds(b.at, b.size));
    std::free(b.at);
    b.size = some_size(d, 18);
    b.at = opaque(std::malloc(b.size));
    BOOST_REQUIRE(b.at);
    fill(b.at, b.size);
  }
  for (block b : blocks) std::free(b.at);
}

BOOST_AUTO_TEST_CASE(no_bytes_are_a_block_of_its_own) {
  std::set<void*> blocks;
  for (int i = 0; i != 1000; ++i) blocks.insert(opaque(std::malloc(opaque(std::size_t{0}))));
  BOOST_TEST(blocks.size() == 1000u);
  BOOST_TEST(blocks.count(nullptr) == 0u);
  for (void* p : blocks) std::free(p);
}

BOOST_AUTO_TEST_CASE(too_much_is_null_and_ENOMEM) {
  for (std::size_t n : too_large) {
    errno = 0;
    void* p = opaque(std::malloc(opaque(n)));
    BOOST_TEST_CONTEXT(n << " bytes") {
      BOOST_TEST(p == nullptr);
      BOOST_TEST(errno == ENOMEM);
    }
  }
  void* p = opaque(std::malloc(100));
  BOOST_TEST(p);
  std::free(p);
}

BOOST_AUTO_TEST_CASE(gigabytes) {
  for (std::size_t n : {2 * GiB - 1, 2 * GiB, 2 * GiB + 1, 4 * GiB, 4 * GiB + 1}) {
    auto* p = static_cast<char*>(opaque(std::malloc(n)));
    BOOST_REQUIRE_MESSAGE(p, n << " bytes");
    p[0] = p[n / 2] = p[n - 1] = 1;
    void* other = opaque(std::malloc(100));
    BOOST_TEST((other < p || other >= p + n));
    std::free(other);
    std::free(p);
  }
  BOOST_TEST(resident_bytes() < 512 * MiB);
}

BOOST_AUTO_TEST_CASE(free_of_null) { std::free(opaque(static_cast<void*>(nullptr))); }

BOOST_AUTO_TEST_CASE(free_keeps_errno) {
  for (std::size_t n : {std::size_t{1}, 100 * KiB, MiB, 64 * MiB, 300 * MiB}) {
    void* p = opaque(std::malloc(n));
    void* q = opaque(std::malloc(n));
    BOOST_REQUIRE((p && q));
    errno = 12345;
    std::free(p);
    BOOST_TEST(errno == 12345);
    int elsewhere = 0;
    std::thread([&] {
      errno = 12345;
      std::free(q);
      elsewhere = errno;
    }).join();
    BOOST_TEST(elsewhere == 12345);
  }
}

BOOST_AUTO_TEST_SUITE_END()
