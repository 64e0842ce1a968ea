// SPDX-License-Identifier: BSL-1.0
//
// The layout of suspended contexts that debuggers are told. How gdb uses it: test/runtime/gdb_test.
#include "debug_layout.hpp"

#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <vector>

#include "heddle/run.hpp"
#include "support/leak_check.hpp"

using heddle::detail::debug_layout;

BOOST_FIXTURE_TEST_SUITE(debug_layouts, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(a_runtime_that_starts_tells_where_registers_lie) {
  heddle::run([] {});
  const heddle::detail::debug_layout_table& t = debug_layout;
  BOOST_TEST(t.version == 3u);
  const std::vector<std::uint64_t> found{t.context_r12, t.context_r13, t.context_r14, t.context_r15,
                                         t.context_rbx, t.context_rbp, t.context_rip};
  if (t.context_kind == 1) {
    BOOST_TEST(found == (std::vector<std::uint64_t>{24, 16, 8, 0, 32, 40, 48}));  // as in switch_x86_64.S
  } else {
    // All of Boost.Context's versions so far have them in this order; the words before them change.
    const std::uint64_t rip = t.context_rip;
    BOOST_TEST(rip >= 56u);
    BOOST_TEST(found == (std::vector<std::uint64_t>{rip - 48, rip - 40, rip - 32, rip - 24, rip - 16, rip - 8, rip}));
  }
  heddle::detail::tell_of_contexts();  // changes nothing any more
  BOOST_TEST(t.context_rip == found.back());
}

BOOST_AUTO_TEST_SUITE_END()
