// SPDX-License-Identifier: BSL-1.0
//
// HEDDLE_MALLOC=hardened: blocks above 64 KiB have guard pages, and their addresses stay out of use for a while after
// they were freed; the first block of a process as well as the one after many thousands.
#define BOOST_TEST_MODULE shim_guarded_blocks
#include <malloc.h>

#include "shim/shim.hpp"

using namespace heddle::testing;

namespace {

constexpr std::size_t size = 100 * KiB;

/// Whether a process ends that writes there.
bool is_deadly(char* at) {
  return fate_of([at] { *const_cast<volatile char*>(at) = 1; }).signal == SIGSEGV;
}

char* make(std::size_t n = size) {
  auto* const p = static_cast<char*>(opaque(std::malloc(n)));
  BOOST_REQUIRE(p != nullptr);
  return p;
}

void come_and_go(int pairs, std::size_t n = size) {
  for (int i = 0; i != pairs; ++i) std::free(make(n));
}

/// All that is promised of such a block.
void expect_guarded() {
  char* const p = make();
  BOOST_TEST(!is_deadly(p));
  BOOST_TEST(!is_deadly(p + size - 1));
  BOOST_TEST(is_deadly(p + size));  // which is a multiple of its alignment
  BOOST_TEST(is_deadly(p - 4 * KiB));
  std::free(p);
  BOOST_TEST(is_deadly(p));
  // Its addresses are nobody else's for a while.
  for (int i = 0; i != 100; ++i) {
    char* const other = make();
    BOOST_TEST((other + size <= p || p + size <= other),
               "the addresses of a block were used again after " << i << " others");
    std::free(other);
  }
}

std::size_t huge_bytes() { return ::mallinfo2().hblkhd; }

}  // namespace

BOOST_AUTO_TEST_SUITE(guarded_blocks)

BOOST_AUTO_TEST_CASE(the_first) { expect_guarded(); }

/// More than may be guarded at a time.
BOOST_AUTO_TEST_CASE(after_many_pairs) {
  come_and_go(13'000);
  expect_guarded();
}

/// More bytes of addresses than stay out of use at a time.
BOOST_AUTO_TEST_CASE(after_large_ones) {
  const std::size_t before = status_bytes("VmSize:");
  come_and_go(40, 100 * MiB);
  const std::size_t after = status_bytes("VmSize:");
  BOOST_TEST(after < before + 1200 * MiB);
  BOOST_TEST(after + 400 * MiB > before + 1000 * MiB, "the addresses of freed blocks are used again at once");
  expect_guarded();
}

/// Above so many in use, of which the kernel would make too many mappings, blocks go on without guard pages; and have
/// them again when there are fewer.
BOOST_AUTO_TEST_CASE(with_many_in_use) {
  std::vector<char*> all;
  for (int i = 0; i != 12'500; ++i) all.push_back(make());
  BOOST_TEST(!is_deadly(all.back() + size));
  for (char* p : all) std::free(p);
  come_and_go(2'000);
  expect_guarded();
}

BOOST_AUTO_TEST_CASE(are_counted_while_they_are_in_use) {
  const std::size_t before = huge_bytes();
  char* const p = make(10 * MiB);
  BOOST_TEST(huge_bytes() >= before + 10 * MiB);
  BOOST_TEST(huge_bytes() <= before + 10 * MiB + 64 * KiB);
  std::free(p);
  BOOST_TEST(huge_bytes() == before);
}

BOOST_AUTO_TEST_CASE(give_their_memory_back_at_once) {
  char* const p = make(64 * MiB);
  std::memset(p, 1, 64 * MiB);
  const std::size_t before = resident_bytes();
  std::free(p);
  BOOST_TEST(resident_bytes() + 60 * MiB < before);
}

BOOST_AUTO_TEST_CASE(end_where_their_guard_begins) {
  for (const std::size_t n : {64 * KiB, 64 * KiB + 16, 100'000 / 16 * std::size_t{16}, 3 * MiB + 48}) {
    char* const p = make(n);
    BOOST_TEST((reinterpret_cast<std::uintptr_t>(p) + n) % 4096 == 0, n << " bytes");
    std::free(p);
  }
}

/// Smaller blocks have a canary instead: each of its bytes counts.
BOOST_AUTO_TEST_CASE(a_canary_is_whole) {
  for (const std::size_t n : {24, 100, 1000})
    for (std::size_t behind = 0; behind != 8; ++behind) {
      const death how = fate_of([n, behind] {
        auto* const p = static_cast<volatile char*>(opaque(std::malloc(n)));
        p[n + behind] = static_cast<char>(~p[n + behind]);
        std::free(const_cast<char*>(p));
      });
      BOOST_TEST(how.signal == SIGABRT, n << " bytes, " << behind << " behind");
      BOOST_TEST(how.says("written behind the end of a block"), how.text);
    }
}

BOOST_AUTO_TEST_SUITE_END()
