// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>

namespace heddle::testing {

/// What a test must not leave behind, counted.
struct belongings {
  std::size_t fibers;       ///< alive
  std::size_t descriptors;  ///< open, of this process
  long blocks;              ///< from operator new, not deleted yet (0 under sanitizers, which watch it themselves)

  static belongings now();
};

/// Fixture of every test suite: a test that leaves a fiber, a descriptor or memory behind fails.
///
///     BOOST_FIXTURE_TEST_SUITE(mutex, heddle::testing::leak_check)
///
/// Runs in each test: a runtime that the test starts lazily must be ended by it with heddle::shutdown().
struct leak_check {
  leak_check() : before(belongings::now()) {}
  void teardown();  // called by Boost.Test after the test, when its locals are gone

  belongings before;
};

}  // namespace heddle::testing
