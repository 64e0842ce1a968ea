// SPDX-License-Identifier: BSL-1.0
//
// posix_memalign, aligned_alloc, memalign, valloc, pvalloc: alignments from 8 bytes to 64 MiB.
#define BOOST_TEST_MODULE shim_alignment
#include <malloc.h>

#include "shim/shim.hpp"

using namespace heddle::testing;

namespace {

constexpr std::size_t largest_alignment = 64 * MiB;

bool is_aligned(const void* p, std::size_t alignment) { return reinterpret_cast<std::uintptr_t>(p) % alignment == 0; }

std::vector<std::size_t> sizes_around(std::size_t alignment) {
  std::vector<std::size_t> sizes = {0,    1,    7,    8,    9,      16,     24,      100,
                                    1000, 4095, 4096, 4097, 20'000, 70'000, 300'000, 1'200'000};
  for (std::size_t n : {alignment / 2, alignment - 1, alignment, alignment + 1, 3 * alignment})
    if (n <= 20 * MiB) sizes.push_back(n);
  return sizes;
}

void* by_posix_memalign(std::size_t alignment, std::size_t n) {
  void* p = nullptr;
  return ::posix_memalign(&p, alignment, n) == 0 ? p : nullptr;
}

/// Blocks of all sizes at every alignment, held at once: each aligned, each with its own bytes.
void all_alignments(void* (*allocate)(std::size_t, std::size_t)) {
  for (std::size_t alignment = 8; alignment <= largest_alignment; alignment *= 2) {
    std::vector<std::pair<void*, std::size_t>> blocks;
    for (std::size_t n : sizes_around(alignment)) {
      void* p = opaque(allocate(alignment, n));
      BOOST_REQUIRE_MESSAGE((p && is_aligned(p, alignment)), p << ": " << n << " bytes at " << alignment);
      BOOST_REQUIRE(::malloc_usable_size(p) >= n);
      if (n) fill(p, n);
      blocks.emplace_back(p, n);
    }
    for (auto [p, n] : blocks) {
      BOOST_REQUIRE_MESSAGE((n == 0 || holds(p, n)), n << " bytes at " << alignment << " were written by another");
      std::free(p);
    }
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(alignment)

BOOST_AUTO_TEST_CASE(posix_memalign_at_all_alignments) { all_alignments(by_posix_memalign); }
BOOST_AUTO_TEST_CASE(aligned_alloc_at_all_alignments) {
  all_alignments([](std::size_t alignment, std::size_t n) { return ::aligned_alloc(alignment, n); });
}
BOOST_AUTO_TEST_CASE(memalign_at_all_alignments) {
  all_alignments([](std::size_t alignment, std::size_t n) { return ::memalign(alignment, n); });
}

BOOST_AUTO_TEST_CASE(posix_memalign_refuses_bad_alignments) {
  for (std::size_t alignment :
       {0ul, 1ul, 2ul, 4ul, 3ul, 9ul, 12ul, 24ul, 48ul, 4095ul, 4097ul, SIZE_MAX, SIZE_MAX - 7}) {
    void* const before = &alignment;
    void* p = before;
    errno = 12345;
    BOOST_TEST_CONTEXT("alignment " << alignment) {
      BOOST_TEST(::posix_memalign(&p, opaque(alignment), 64) == EINVAL);
      BOOST_TEST(p == before);
      BOOST_TEST(errno == 12345);
    }
  }
}

BOOST_AUTO_TEST_CASE(posix_memalign_reports_too_much_and_keeps_errno) {
  for (std::size_t n : {std::size_t{PTRDIFF_MAX}, SIZE_MAX, SIZE_MAX - 4096, std::size_t{1} << 48})
    for (std::size_t alignment = 8; alignment <= largest_alignment; alignment *= 8) {
      void* const before = &n;
      void* p = before;
      errno = 12345;
      BOOST_TEST_CONTEXT(n << " bytes at " << alignment) {
        BOOST_TEST(::posix_memalign(&p, alignment, opaque(n)) == ENOMEM);
        BOOST_TEST(p == before);
        BOOST_TEST(errno == 12345);
      }
    }
}

BOOST_AUTO_TEST_CASE(the_others_report_too_much) {
  for (std::size_t n : {std::size_t{PTRDIFF_MAX}, SIZE_MAX, SIZE_MAX - 4096})
    for (std::size_t alignment = 16; alignment <= largest_alignment; alignment *= 8) {
      errno = 0;
      BOOST_TEST(opaque(::aligned_alloc(alignment, opaque(n))) == nullptr);
      BOOST_TEST(errno == ENOMEM);
      errno = 0;
      BOOST_TEST(opaque(::memalign(alignment, opaque(n))) == nullptr);
      BOOST_TEST(errno == ENOMEM);
    }
  for (auto* whole_pages : {&::valloc, &::pvalloc}) {
    errno = 0;
    BOOST_TEST(opaque(whole_pages(opaque(SIZE_MAX))) == nullptr);
    BOOST_TEST(errno == ENOMEM);
  }
}

// What the standards leave open (aligned_alloc of 3, of half the address space) must fail or work, never crash.
BOOST_AUTO_TEST_CASE(odd_alignments_fail_or_work) {
  for (auto* allocate : {&::aligned_alloc, &::memalign})
    for (std::size_t alignment : {0ul, 1ul, 3ul, 24ul, 4097ul, 1ul << 47, 1ul << 62, 1ul << 63, SIZE_MAX}) {
      errno = 0;
      void* p = opaque(allocate(opaque(alignment), 100));
      if (p) {
        fill(p, 100);
        std::free(p);
      } else {
        BOOST_TEST((errno == EINVAL || errno == ENOMEM));
      }
    }
}

/// As glibc's. Several at once, since one block may be aligned by chance.
BOOST_AUTO_TEST_CASE(memalign_takes_the_next_power_of_two) {
  const std::pair<std::size_t, std::size_t> powers[] = {{0, 16},
                                                        {3, 16},
                                                        {24, 32},
                                                        {33, 64},
                                                        {48, 64},
                                                        {65, 128},
                                                        {4095, 4096},
                                                        {4097, 8192},
                                                        {5000, 8192},
                                                        {70'000, 1 << 17},
                                                        {(1 << 20) + 1, 1 << 21}};
  for (const auto& [alignment, power] : powers) {
    std::vector<void*> all;
    for (int i = 0; i != 20; ++i) {
      all.push_back(opaque(::memalign(opaque(alignment), 100)));
      BOOST_REQUIRE(all.back() != nullptr);
      BOOST_TEST(is_aligned(all.back(), power), "memalign(" << alignment << ")");
    }
    for (void* p : all) std::free(p);
  }
  for (std::size_t alignment : {(std::size_t{1} << 63) + 1, SIZE_MAX}) {
    errno = 0;
    BOOST_TEST(opaque(::memalign(opaque(alignment), 100)) == nullptr);
    BOOST_TEST(errno == EINVAL);
  }
}

BOOST_AUTO_TEST_CASE(aligned_alloc_takes_powers_of_two_only) {
  for (std::size_t alignment : {0ul, 3ul, 24ul, 4097ul, (1ul << 63) + 1, SIZE_MAX}) {
    errno = 0;
    BOOST_TEST(opaque(::aligned_alloc(opaque(alignment), 100)) == nullptr);
    BOOST_TEST(errno == EINVAL);
  }
}

BOOST_AUTO_TEST_CASE(valloc_and_pvalloc_give_pages) {
  for (std::size_t n : {0ul, 1ul, 100ul, 4095ul, 4096ul, 4097ul, 100'000ul, 3'000'000ul}) {
    void* p = opaque(::valloc(n));
    void* q = opaque(::pvalloc(n));
    BOOST_REQUIRE((p && q));
    BOOST_TEST((is_aligned(p, 4096) && is_aligned(q, 4096)));
    const std::size_t whole = (n + 4095) / 4096 * 4096;
    BOOST_TEST(::malloc_usable_size(q) >= whole);
    std::memset(p, 1, n);
    std::memset(q, 2, whole);
    std::free(p);
    std::free(q);
  }
}

BOOST_AUTO_TEST_CASE(aligned_blocks_can_be_resized) {
  for (std::size_t alignment = 8; alignment <= 4 * MiB; alignment *= 2)
    for (std::size_t n : {std::size_t{1}, std::size_t{100}, 10 * KiB, MiB, 9 * MiB}) {
      void* p = opaque(by_posix_memalign(alignment, n));
      BOOST_REQUIRE(p);
      fill(p, n);
      p = opaque(std::realloc(p, 3 * n));
      BOOST_REQUIRE(p);
      BOOST_TEST(holds(p, n));
      std::free(p);
    }
}

BOOST_AUTO_TEST_CASE(nothing_is_lost_in_the_gaps) {
  dice d(5);
  const auto churn = [&d] {
    for (int i = 0; i != 20'000; ++i) {
      const std::size_t alignment = std::size_t{8} << d.below(16), n = some_size(d, 14);
      void* p = opaque(by_posix_memalign(alignment, n));
      BOOST_REQUIRE(p);
      static_cast<char*>(p)[n - 1] = 1;
      std::free(p);
    }
  };
  churn();
  const std::size_t before = resident_bytes();
  for (int i = 0; i != 4; ++i) churn();
  BOOST_TEST(resident_bytes() < before + 32 * MiB);
}

BOOST_AUTO_TEST_SUITE_END()
