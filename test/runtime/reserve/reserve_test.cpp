// SPDX-License-Identifier: BSL-1.0
#include <cstdint>
#include <cstring>
#include <vector>

#include "runtime/reserve/reserve.hpp"

namespace heddle::testing::reserve {
namespace {

detail::fiber* awaited = nullptr;
int busy_word = 0;

// Their own frames count too: some bytes.
[[gnu::noinline]] void yields() { heddle::this_fiber::yield(); }
[[gnu::noinline]] void starts() {
  heddle::go([] {});
}
[[gnu::noinline]] void sleeps() { detail::sleep_until(detail::monotonic_now() + 200'000); }
[[gnu::noinline]] void blocks() {
  detail::blocking_section here;
  const auto begin = detail::monotonic_now();
  while (detail::monotonic_now() < begin + 3'000'000) {
  }
}
[[gnu::noinline]] void asks() { (void)heddle::this_fiber::get_id(); }
[[gnu::noinline]] void names() { heddle::this_fiber::name("somebody with a name that is long enough for the heap"); }
[[gnu::noinline]] void joins() { detail::join_fiber(awaited); }
[[gnu::noinline]] void lends() {
  heddle::spawn([] { heddle::this_fiber::yield(); }).join();
}
[[gnu::noinline]] void copies() {
  static char from[5000], to[5000];
  from[busy_word]++;
  std::memcpy(to, from, sizeof to - static_cast<std::size_t>(busy_word));
  std::memset(from, busy_word, sizeof from);
}

}  // namespace

void runtime() {
  check<yields>("yield alone");
  {
    bool stop = false;
    std::vector<heddle::join_handle<void>> others;
    for (int i = 0; i != 600; ++i)
      others.push_back(heddle::spawn([&] {
        while (!stop) heddle::this_fiber::yield();
      }));
    check<yields>("yield among many", 200);
    check<starts>("start", 600);
    check<sleeps>("sleep", 20);
    stop = true;
  }
  check<starts>("start", 600);
  check<sleeps>("sleep alone", 3);
  check<blocks>("blocking call");
  check<asks>("id");
  check<names>("name");
  auto late = heddle::spawn([&] { heddle::this_fiber::sleep_for(1ms); });
  awaited = reinterpret_cast<detail::fiber*&>(late);
  check<joins>("join");
  check<lends>("join on the same stack", 10);
  check<copies>("memcpy, memset");
}

}  // namespace heddle::testing::reserve

namespace {

void measure(unsigned procs) {
  using namespace heddle::testing::reserve;
  least_left = 10'000;
  heddle::run(
      [] {
        for (int round = 0; round != 3; ++round) {
          runtime();
          locks();
          conditions();
          channels();
          groups();
          sockets();
        }
      },
      {.procs = procs, .preempt = false});
  BOOST_TEST_MESSAGE("the least left is " << least_left << " bytes of " << heddle::detail::segment_reserve);
}

}  // namespace

BOOST_AUTO_TEST_CASE(one_processor) { measure(1); }
BOOST_AUTO_TEST_CASE(two_processors) { measure(2); }
