// SPDX-License-Identifier: BSL-1.0
//
// The waits below the locks: they keep errno, since free() may wait.
#include <boost/test/unit_test.hpp>
#include <cerrno>
#include <cstdint>
#include <vector>

#include "heddle/alloc.hpp"
#include "heddle/detail/platform.hpp"
#include "support/leak_check.hpp"

namespace platform = heddle::detail::platform;

BOOST_FIXTURE_TEST_SUITE(futex, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(errno_is_kept) {
  constexpr int mark = 77;
  platform::atomic<std::uint32_t> word{1};
  errno = mark;
  platform::futex_wait(word, 2);  // EAGAIN: the word has another value already
  BOOST_TEST(errno == mark);
  errno = mark;
  platform::futex_wait(word, 1, platform::now() - 1);  // ETIMEDOUT
  BOOST_TEST(errno == mark);
  // EFAULT, EINVAL: there is no word, or it is not aligned.
  errno = mark;
  platform::futex_wake(*reinterpret_cast<platform::atomic<std::uint32_t>*>(16), 1);
  platform::futex_wait(*reinterpret_cast<platform::atomic<std::uint32_t>*>(16), 0, platform::now() - 1);
  platform::heavy_barrier();
  BOOST_TEST(errno == mark);
}

BOOST_AUTO_TEST_SUITE_END()
