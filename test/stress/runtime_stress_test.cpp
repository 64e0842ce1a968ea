// SPDX-License-Identifier: BSL-1.0
//
// A random mix of everything the runtime does. HEDDLE_STRESS_SECONDS makes it longer, HEDDLE_STRESS_SEED repeats one.
#include <unistd.h>

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstdlib>
#include <random>
#include <stdexcept>
#include <thread>
#include <vector>

#include "heddle/heddle.hpp"
#include "support/leak_check.hpp"

namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

std::atomic<long> made{0};
std::atomic<long> ended{0};

struct tally {
  tally() { ++made; }
  ~tally() { ++ended; }
};

/// One fiber's life, and those of its children. Returns how many fibers there were, itself included.
long live(std::uint64_t seed, int depth) {
  const tally counted;
  std::mt19937_64 random(seed);
  long n = 1;
  std::vector<heddle::join_handle<long>> children;
  for (std::uint64_t step = 0, steps = random() % 12; step != steps; ++step) {
    switch (random() % 9) {
      case 0:
      case 1:
        if (depth > 0) children.push_back(heddle::spawn(live, random(), depth - 1));
        break;
      case 2: heddle::this_fiber::yield(); break;
      case 3: heddle::this_fiber::sleep_for(std::chrono::microseconds(random() % 300)); break;
      case 4: heddle::blocking([&] { ::usleep(static_cast<unsigned>(random() % 200)); }); break;
      case 5:
        if (random() % 50 == 0) ::usleep(3000);
        break;
      case 6: try { throw std::runtime_error("x");
        } catch (const std::runtime_error&) {
          heddle::this_fiber::yield();
        }
        break;
      case 7:
        if (depth > 0) heddle::go([s = random(), depth] { (void)live(s, depth > 2 ? 1 : 0); });
        break;
      default:
        if (!children.empty()) {
          n += children.back().join();
          children.pop_back();
        }
    }
  }
  for (auto& c : children) n += c.join();
  return n;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(runtime_stress, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(everything_at_random) {
  const char* seconds = std::getenv("HEDDLE_STRESS_SECONDS");
  const char* given = std::getenv("HEDDLE_STRESS_SEED");
  const auto end = clock::now() + std::chrono::seconds(seconds != nullptr ? std::atol(seconds) : 10);
  std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device()();
  BOOST_TEST_MESSAGE("HEDDLE_STRESS_SEED=" << seed);
  do {
    std::mt19937_64 random(seed++);
    const unsigned procs = 1u << random() % 3;
    heddle::run(
        [&] {
          long from_thread = 0;  // Boost.Test may be used by one thread at a time
          std::thread plain([&, s = random()] { from_thread = heddle::spawn(live, s, 4).join(); });
          std::vector<heddle::join_handle<long>> roots;
          for (int i = 0; i != 4; ++i) roots.push_back(heddle::spawn(live, random(), 5));
          for (auto& r : roots) BOOST_TEST(r.join() >= 1);
          heddle::blocking([&] { plain.join(); });
          BOOST_TEST(from_thread >= 1);
        },
        {.procs = procs});
    BOOST_REQUIRE(made == ended);
  } while (clock::now() < end);
  BOOST_TEST_MESSAGE(made << " fibers");
}

BOOST_AUTO_TEST_SUITE_END()
