// SPDX-License-Identifier: BSL-1.0
#include "span_records.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <vector>

#include "alloc/obstacle.hpp"
#include "blocks.hpp"
#include "scavenger.hpp"
#include "support/leak_check.hpp"

using namespace heddle::detail;
using heddle::testing::obstacle;

BOOST_FIXTURE_TEST_SUITE(records_of_spans, heddle::testing::leak_check)

/// Something is mapped where the records would go on: their numbers go on behind it, and walks find all records.
BOOST_AUTO_TEST_CASE(leave_out_what_is_in_their_way) {
  const auto count = [] {
    std::size_t n = 0;
    the_mheap.for_each_span([&](const span& s) { n += s.state == span_state::large; });
    return n;
  };
  blocks::deallocate(blocks::allocate(1));
  const std::size_t others = count();
  std::vector<span*> all;
  const auto make = [&] {
    all.push_back(the_mheap.make_span(class_count, 1));
    BOOST_REQUIRE(all.back() != nullptr);
  };
  std::vector<obstacle> in_the_way;
  for (int gaps = 0; gaps != 3; ++gaps) {
    // The next record is one that has never been made: the last of a step, behind which nothing is mapped.
    const auto highest = [&] { return std::max_element(all.begin(), all.end()); };
    do make();
    while (reinterpret_cast<std::uintptr_t>(*highest() + 1) % 4096 != 0 ||
           ::msync(*highest() + 1, 4096, MS_ASYNC) == 0);
    char* const end = reinterpret_cast<char*>(*highest() + 1);
    in_the_way.emplace_back(end);
    if (gaps == 2) in_the_way.emplace_back(end + (std::size_t{64} << 10));
    for (int i = 0; i != 10; ++i) make();
    BOOST_TEST((*highest() > reinterpret_cast<span*>(end)));
  }
  BOOST_TEST(count() == others + all.size());
  for (span* const s : all) {
    BOOST_TEST(&the_map.span_of(s->start) == s);
    the_mheap.free_span(*s);
  }
  BOOST_TEST(count() == others);
  the_scavenger.release_all();
}

BOOST_AUTO_TEST_SUITE_END()
