// SPDX-License-Identifier: BSL-1.0
//
// calloc: zero bytes, also where others wrote before, and no product that overflows.
#define BOOST_TEST_MODULE shim_calloc
#include <algorithm>

#include "shim/shim.hpp"

using namespace heddle::testing;

namespace {

bool all_zero(const void* block, std::size_t n) {
  const auto* bytes = static_cast<const char*>(block);
  return n == 0 || (bytes[0] == 0 && std::memcmp(bytes, bytes + 1, n - 1) == 0);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(zeroed)

BOOST_AUTO_TEST_CASE(zero_after_others_wrote) {
  for (std::size_t n : boundary_sizes(MiB)) {
    void* used[3];
    for (void*& p : used) {
      p = opaque(std::malloc(n));
      BOOST_REQUIRE(p);
      std::memset(p, 0xff, n);
    }
    for (void* p : used) std::free(p);
    for (void*& p : used) {
      p = opaque(std::calloc(1, n));
      BOOST_REQUIRE_MESSAGE((p && all_zero(p, n)), n << " bytes");
    }
    for (void* p : used) std::free(p);
  }
}

BOOST_AUTO_TEST_CASE(zero_where_larger_and_smaller_blocks_were) {
  dice d(3);
  std::vector<void*> blocks(500);
  for (int i = 0; i != 20'000; ++i) {
    void*& p = blocks[d.below(blocks.size())];
    std::free(p);
    const std::size_t n = some_size(d, d.below(100) ? 13 : 20), count = d.below(7) + 1;
    p = opaque(std::calloc(count, n));
    BOOST_REQUIRE_MESSAGE((p && all_zero(p, count * n)), count << " times " << n << " bytes");
    std::memset(p, 0xff, count * n);
  }
  for (void* p : blocks) std::free(p);
}

BOOST_AUTO_TEST_CASE(fresh_memory_is_not_written_to_make_it_zero) {
  const std::size_t before = resident_bytes();
  auto* p = static_cast<char*>(opaque(std::calloc(GiB, 1)));
  BOOST_REQUIRE(p);
  BOOST_TEST(p[GiB / 2] == 0);
  BOOST_TEST(resident_bytes() < before + 64 * MiB);
  std::free(p);
}

BOOST_AUTO_TEST_CASE(overflow_is_null_and_ENOMEM) {
  const std::size_t half = std::size_t{1} << 32;
  const std::pair<std::size_t, std::size_t> products[] = {
      {half, half},          {half + 1, half},      {SIZE_MAX, 2},   {2, SIZE_MAX},
      {SIZE_MAX / 2 + 1, 2}, {SIZE_MAX, SIZE_MAX},  {SIZE_MAX, 1},   {1, SIZE_MAX},
      {PTRDIFF_MAX, 2},      {3, SIZE_MAX / 3 + 1}, {1, PTRDIFF_MAX}};
  for (auto [count, size] : products) {
    errno = 0;
    void* p = opaque(std::calloc(opaque(count), opaque(size)));
    BOOST_TEST_CONTEXT(count << " times " << size) {
      BOOST_TEST(p == nullptr);
      BOOST_TEST(errno == ENOMEM);
    }
  }
}

BOOST_AUTO_TEST_CASE(no_bytes_are_a_block_of_its_own) {
  void* blocks[] = {std::calloc(0, 8), std::calloc(8, 0), std::calloc(0, opaque(SIZE_MAX)), std::calloc(0, 0)};
  for (void*& p : blocks) BOOST_TEST(opaque(p));
  std::sort(std::begin(blocks), std::end(blocks));
  BOOST_TEST((std::adjacent_find(std::begin(blocks), std::end(blocks)) == std::end(blocks)));
  for (void* p : blocks) std::free(p);
}

BOOST_AUTO_TEST_SUITE_END()
