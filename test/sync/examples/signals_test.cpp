// SPDX-License-Identifier: BSL-1.0
#include <signal.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <chrono>

#include "heddle/run.hpp"
#include "heddle/this_fiber.hpp"
#include "signal_channel.hpp"
#include "support/death.hpp"
#include "support/leak_check.hpp"
#include "support/scale.hpp"

namespace {
using namespace std::chrono_literals;
}

BOOST_FIXTURE_TEST_SUITE(signal_channel, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(brings_each_signal_to_a_fiber) {
  examples::signal_channel asked({SIGUSR1, SIGUSR2});
  for (int run = 0; run != 2; ++run)
    heddle::run(
        [&] {
          asked.watch();
          for (int i = 0; i != 20; ++i) {
            const int signal = i % 2 == 0 ? SIGUSR1 : SIGUSR2;
            ::kill(::getpid(), signal);
            BOOST_TEST(asked.received().receive().value() == signal);
          }
          asked.stop();
        },
        {.procs = 2});
}

BOOST_AUTO_TEST_CASE(no_deadlock_is_seen_while_it_waits,
                     *boost::unit_test::enable_if<!heddle::testing::thread_sanitized>()) {
  const auto end = heddle::testing::death_of([] {
    examples::signal_channel asked({SIGALRM});
    ::ualarm(300'000, 0);
    const int signal = heddle::run([&] {
      asked.watch();
      const int which = asked.received().receive().value();
      asked.stop();
      return which;
    });
    ::_exit(signal == SIGALRM ? 7 : 1);
  });
  BOOST_TEST(end.status == 7, end.text);
}

BOOST_AUTO_TEST_CASE(ends_though_no_signal_comes) {
  examples::signal_channel asked({SIGUSR1});
  heddle::run([&] {
    asked.watch();
    heddle::this_fiber::sleep_for(1ms);
    asked.stop();
    asked.stop();
    BOOST_TEST(!asked.received().try_receive());
  });
}

BOOST_AUTO_TEST_SUITE_END()
