// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>

#include "heddle/fiber.hpp"
#include "heddle/run.hpp"
#include "heddle/this_fiber.hpp"
#include "heddle/wait_group.hpp"
#include "support/leak_check.hpp"
#include "support/scale.hpp"

BOOST_FIXTURE_TEST_SUITE(fairness_stress, heddle::testing::leak_check)

// Fibers that yield until the last has started: more than fit into the local queues, so some wait in the global one,
// and must be reached although neither processor ever runs out of local work. (Once a thief's look at its own queue
// left the countdown to the next fair pick at zero, and the pick after counted down from there.)
BOOST_AUTO_TEST_CASE(the_global_queue_is_reached_while_all_yield) {
  for (unsigned procs : {1u, 2u, 3u})
    heddle::run(
        [&] {
          for (int round = 0; round < heddle::testing::times(50); ++round) {
            for (int i = 0; i < 10; ++i) heddle::this_fiber::sleep_for(std::chrono::microseconds(200));  // some go idle
            constexpr int fibers = heddle::testing::times(1'000, 2);
            std::atomic<int> started{0};
            heddle::wait_group done(fibers);
            for (int i = 0; i < fibers; ++i)
              heddle::go([&] {
                ++started;
                while (started.load() < fibers) heddle::this_fiber::yield();
                done.done();
              });
            done.wait();
          }
        },
        {.procs = procs});
}

BOOST_AUTO_TEST_SUITE_END()
