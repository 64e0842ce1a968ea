// SPDX-License-Identifier: BSL-1.0
//
// errno belongs to a kernel thread, and compilers keep its address across calls. So a fiber must find its own where it
// was before the call, though others have been stealing and failing in the meantime. (soak/net/errno_soak.cpp: the same
// for ten million calls.)
#include <boost/test/unit_test.hpp>

#include "known_errors.hpp"
#include "support/leak_check.hpp"

BOOST_FIXTURE_TEST_SUITE(error_numbers, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(stay_with_their_fibers) { BOOST_TEST(known_errors::wrong_errors(4, 60, 400, 4) == 0); }

BOOST_AUTO_TEST_CASE(of_each_kind_of_call_are_right) {
  heddle::run([] {
    const known_errors::interruptions signals;
    known_errors::caller c;
    for (int kind = 0; kind != known_errors::caller::kinds; ++kind) BOOST_TEST(c.right(kind), "kind " << kind);
  });
}

BOOST_AUTO_TEST_SUITE_END()
