// SPDX-License-Identifier: BSL-1.0
#include "heddle/detail/size_class.hpp"

#include <boost/test/unit_test.hpp>
#include <numeric>

#include "blocks.hpp"
#include "support/leak_check.hpp"

using namespace heddle::detail;

BOOST_FIXTURE_TEST_SUITE(size_class_table, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(each_size_gets_the_smallest_class_that_holds_it) {
  std::size_t wrong = 0;
  for (std::size_t size = 0; size <= class_limit; ++size) {
    const heddle::detail::size_class c = class_for(size);
    const bool holds = c < class_count && class_info[c].size >= size;
    const bool smallest = holds && (c == 0 || class_info[c - 1].size < size);
    wrong += !smallest;
  }
  BOOST_TEST(wrong == 0u);
}

BOOST_AUTO_TEST_CASE(little_of_a_block_is_wasted) {
  for (std::size_t c = 1; c != class_count; ++c) {
    const std::size_t least = class_info[c - 1].size + 1;  // the worst size for this class
    const std::size_t waste = class_info[c].size - least;
    const std::size_t bound =
        class_info[c].size <= 128 ? 15 : class_info[c].size / (class_info[c].size <= 8192 ? 8 : 4);
    BOOST_TEST(waste <= bound, class_info[c].size << " bytes for " << least);
  }
}

BOOST_AUTO_TEST_CASE(little_of_a_span_is_wasted) {
  for (const size_class_info& c : class_info) {
    BOOST_TEST(std::size_t{c.capacity} * c.size + c.tail() == c.pages * page_size);
    BOOST_TEST(c.tail() <= c.pages * page_size / 8, c.size << ": " << c.tail() << " bytes at the end");
    BOOST_TEST(c.tail() < c.size);
  }
}

BOOST_AUTO_TEST_CASE(sizes_ascend_and_are_aligned) {
  for (std::size_t c = 0; c != class_count; ++c) {
    BOOST_TEST(class_info[c].size % grain == 0u);
    if (c != 0) BOOST_TEST(class_info[c].size > class_info[c - 1].size);
    if (class_info[c].size > 1024 && class_info[c].size <= (256u << 10)) BOOST_TEST(class_info[c].size % 128 == 0u);
  }
}

/// What fits the words of a span: 16 bits for a number of blocks, one of 64 bits for each above 128 bytes.
BOOST_AUTO_TEST_CASE(spans_can_count_their_blocks) {
  for (const size_class_info& c : class_info) {
    BOOST_TEST(c.capacity > 0u);
    if (c.size > 128) BOOST_TEST(c.capacity <= 64u);
  }
}

BOOST_AUTO_TEST_CASE(good_size_is_what_one_gets) {
  for (std::size_t size = 1; size <= 3 * class_limit; size += 1 + size / 7) {
    void* const p = blocks::allocate(size);
    BOOST_REQUIRE(p != nullptr);
    BOOST_TEST(blocks::good_size(size) == blocks::usable_size(p), size << " bytes");
    BOOST_TEST(blocks::good_size(blocks::good_size(size)) == blocks::good_size(size));
    blocks::deallocate(p);
  }
}

BOOST_AUTO_TEST_CASE(aligned_blocks_are_aligned) {
  std::size_t wrong = 0;
  for (std::size_t alignment = 1; alignment <= (std::size_t{64} << 20); alignment *= 2)
    for (std::size_t size = 1; size <= 2 * class_limit; size = size * 3 + 1) {
      void* const p = blocks::allocate_aligned(alignment, size);
      BOOST_REQUIRE(p != nullptr);
      wrong += reinterpret_cast<std::uintptr_t>(p) % std::max(alignment, grain) != 0 || blocks::usable_size(p) < size;
      blocks::deallocate(p);
    }
  BOOST_TEST(wrong == 0u);
}

BOOST_AUTO_TEST_CASE(blocks_begin_where_they_begin) {
  std::size_t wrong = 0;
  static char memory[class_limit];
  for (const size_class_info& c : class_info) {
    span s{};
    s.start = memory;
    s.size = c.size;
    s.capacity = c.capacity;
    s.by_size = divisor(c.size);
    BOOST_REQUIRE(c.pages * page_size <= sizeof memory);
    for (std::size_t offset = 0; offset != c.pages * page_size; ++offset)
      wrong += s.begins_block(memory + offset) != (offset % c.size == 0 && offset / c.size < c.capacity);
    // Far away, and where products wrap around.
    for (unsigned power = 21; power != 48; ++power)
      for (std::uintptr_t n = 0; n != 64; ++n) {
        const std::uintptr_t far = (std::uintptr_t{1} << power) + n / 4 * c.size + n % 4;
        const auto at = reinterpret_cast<std::uintptr_t>(memory);
        wrong += s.begins_block(reinterpret_cast<void*>(at + far)) + s.begins_block(reinterpret_cast<void*>(at - far));
      }
  }
  BOOST_TEST(wrong == 0u);
}

BOOST_AUTO_TEST_CASE(quotients_are_exact) {
  std::size_t wrong = 0;
  for (const size_class_info& c : class_info) {
    span s{};
    s.size = c.size;
    s.by_size = divisor(c.size);
    for (std::size_t offset = 0; offset < c.pages * page_size; offset += offset % c.size == c.size - 1 ? 1 : grain - 1)
      wrong += s.index_of(s.start + offset) != offset / c.size;
    for (std::size_t i = 0; i != c.capacity; ++i)
      wrong += s.index_of(s.start + i * c.size) != i || s.index_of(s.start + (i + 1) * c.size - 1) != i;
  }
  BOOST_TEST(wrong == 0u);
}

/// The smallest class whose blocks have the room and the alignment.
BOOST_AUTO_TEST_CASE(an_aligned_block_is_of_the_smallest_class) {
  for (std::size_t alignment = 2 * grain; alignment <= page_size; alignment *= 2)
    for (std::size_t size = 0; size <= 20'000; size += size < 2'000 ? 1 : 61) {
      const std::size_t rounded = std::max(alignment, (size + alignment - 1) / alignment * alignment);
      std::size_t smallest = 0;
      while (class_info[smallest].size < rounded || class_info[smallest].size % alignment != 0) ++smallest;
      BOOST_REQUIRE_EQUAL(std::size_t{class_for_aligned(alignment, std::max<std::size_t>(size, 1))}, smallest);
    }
}

BOOST_AUTO_TEST_SUITE_END()
