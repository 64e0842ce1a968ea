// SPDX-License-Identifier: BSL-1.0
//
// What lies below a stack, what is said when it is hit, how much is used, and where the memory goes.
#include <malloc.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <fstream>
#include <thread>
#include <vector>

#include "heddle/heddle.hpp"
#include "support/death.hpp"
#include "support/leak_check.hpp"
#include "support/scale.hpp"

/// Visible from outside, so that backtraces can name them.
int runs_over(int depth) {
  volatile char frame[1024];
  frame[depth % 1024] = 1;
  return depth < 0 ? 0 : runs_over(depth + 1) + frame[0];
}
[[gnu::noinline]] int has_a_large_frame(std::size_t at) {
  volatile char frame[300 << 10];
  frame[at] = 1;                               // the lowest byte: far below the guard
  asm volatile("" : : "r"(frame) : "memory");  // all of it is needed
  return frame[at];
}
[[gnu::noinline]] std::size_t used_below_a_large_frame() {
  volatile char frame[100'000];
  for (std::size_t i = 0; i < sizeof frame; i += 64) frame[i] = 1;
  const std::size_t used = heddle::this_fiber::stack_used();
  frame[1] = 1;  // the call above is not the last thing done here
  return used;
}

namespace {

using namespace std::chrono_literals;
using heddle::testing::death;
using heddle::testing::death_of;

constexpr bool native = !heddle::testing::sanitized;  // the sanitizers report in their own words

/// Runs f as the first fiber of a process of its own, where SIGSEGV is nobody's.
template <class F>
death death_in_fiber(F f, heddle::options o = {}) {
  return death_of([&] {
    ::signal(SIGSEGV, SIG_DFL);
    heddle::run(f, o);
  });
}

std::size_t address_space() {
  std::size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return pages * 4096;
}

std::size_t resident_bytes() {
  std::size_t mapped = 0;
  std::size_t resident = 0;
  std::ifstream("/proc/self/statm") >> mapped >> resident;
  return resident * 4096;
}

volatile sig_atomic_t faults = 0;
void* const nowhere = nullptr;

}  // namespace

BOOST_FIXTURE_TEST_SUITE(stacks, heddle::testing::leak_check)

// --- overflow ------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(an_overflow_names_the_fiber_its_range_and_its_frames, *boost::unit_test::enable_if<native>()) {
  const auto end = death_in_fiber([] {
    auto weaver = heddle::spawn(heddle::fiber_options{.name = "weaver"}, [] { return runs_over(0); });
    heddle::this_fiber::yield();
    weaver.join();
  });
  BOOST_TEST(end.signal == SIGSEGV);
  BOOST_TEST(end.says("stack overflow in fiber "), end.text);
  BOOST_TEST(end.says("\"weaver\": all "), end.text);
  BOOST_TEST(end.says("bytes from 0x"), end.text);
  BOOST_TEST(end.says("runs_over"), end.text);
}

BOOST_AUTO_TEST_CASE(also_on_the_stack_of_the_joiner, *boost::unit_test::enable_if<native>()) {
  const auto end = death_in_fiber(
      [] { heddle::spawn(heddle::fiber_options{.name = "joined"}, [] { return runs_over(0); }).join(); });
  BOOST_TEST(end.signal == SIGSEGV);
  BOOST_TEST(end.says("\"joined\": all "), end.text);
}

BOOST_AUTO_TEST_CASE(a_large_frame_does_not_jump_the_guard, *boost::unit_test::enable_if<native>()) {
  const auto end = death_in_fiber([] {
    heddle::channel<int> never;
    // Neighbours above and below.
    for (int i = 0; i != 3; ++i) heddle::go([&] { (void)never.receive(); });
    heddle::this_fiber::yield();
    auto weaver = heddle::spawn(heddle::fiber_options{.name = "weaver"}, [] { return has_a_large_frame(0); });
    heddle::this_fiber::yield();
    weaver.join();
  });
  BOOST_TEST(end.signal == SIGSEGV);
  BOOST_TEST(end.says("stack overflow in fiber "), end.text);
}

BOOST_AUTO_TEST_CASE(may_be_left_unreported, *boost::unit_test::enable_if<native>()) {
  const auto end = death_in_fiber([] { runs_over(0); }, {.report_overflow = false});
  BOOST_TEST(end.signal == SIGSEGV);
  BOOST_TEST(end.text.empty(), end.text);
}

BOOST_AUTO_TEST_CASE(other_faults_go_to_who_had_the_signal, *boost::unit_test::enable_if<native>()) {
  const auto by_default = death_in_fiber([] { *static_cast<volatile int*>(nowhere) = 1; });
  BOOST_TEST(by_default.signal == SIGSEGV);
  BOOST_TEST(by_default.text.empty(), by_default.text);
  const auto sent = death_in_fiber([] { ::raise(SIGSEGV); });
  BOOST_TEST(sent.signal == SIGSEGV);
  BOOST_TEST(sent.text.empty(), sent.text);
  const auto handled = death_of([] {
    ::signal(SIGSEGV, [](int) {
      (void)!::write(2, "theirs\n", 7);
      ::_exit(3);
    });
    heddle::run([] { *static_cast<volatile int*>(nowhere) = 1; });
  });
  BOOST_TEST(handled.status == 3);
  BOOST_TEST(handled.text == "theirs\n");
}

BOOST_AUTO_TEST_CASE(signals_are_given_back, *boost::unit_test::enable_if<native>()) {
  struct sigaction mine {};
  mine.sa_handler = [](int) { faults = faults + 1; };
  struct sigaction others {};
  ::sigaction(SIGSEGV, &mine, &others);
  heddle::run([] {});
  struct sigaction after {};
  ::sigaction(SIGSEGV, &others, &after);
  BOOST_TEST((after.sa_handler == mine.sa_handler));
}

// --- use -------------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(use_is_known) {
  BOOST_TEST(heddle::this_fiber::stack_used() == 0u);
  BOOST_TEST(heddle::deepest_stack() == 0u);
  heddle::run([] {
    auto h = heddle::spawn([] {
      const std::size_t first = heddle::this_fiber::stack_used();
      const std::size_t inside = used_below_a_large_frame();
      BOOST_TEST(first > 0u);
      if (native) BOOST_TEST(first < 4096u);
      BOOST_TEST(inside > first);
      if (native) BOOST_TEST(inside - first >= 100'000u);
      if (native) BOOST_TEST(inside - first < 101'000u);
    });
    heddle::this_fiber::yield();
    h.join();
    if (!native) return;
    BOOST_TEST(heddle::deepest_stack() >= 100'000u);
    BOOST_TEST(heddle::deepest_stack() < 110'000u);
  });
}

BOOST_AUTO_TEST_CASE(the_deepest_stack_counts_whatever_comes_after, *boost::unit_test::enable_if<native>()) {
  heddle::run(
      [] {
        const auto all_at_once = [](const heddle::fiber_options& o, int deep_one) {
          std::vector<heddle::join_handle<void>> some;
          heddle::channel<int> gate;
          int begun = 0;
          for (int i = 0; i != 5; ++i)
            some.push_back(heddle::spawn(o, [&, i] {
              if (i == deep_one) (void)used_below_a_large_frame();
              ++begun;
              (void)gate.receive();
            }));
          while (begun != 5) heddle::this_fiber::yield();  // so each has a stack of its own
          gate.close();
          for (auto& one : some) one.join();
        };
        const auto deepest = [] { return heddle::deepest_stack() >= 100'000u && heddle::deepest_stack() < 110'000u; };
        all_at_once({}, -1);
        BOOST_TEST(heddle::deepest_stack() < 100'000u);
        all_at_once({}, 2);
        BOOST_TEST(deepest());
        all_at_once({.stack_size = std::size_t{128} << 10}, -1);  // those of another size come last, and are shallow
        BOOST_TEST(deepest());
      },
      {.procs = 1, .monitor = false});
}

// --- memory ----------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(memory_goes_back_after_a_burst, *boost::unit_test::enable_if<native>()) {
  heddle::run(
      [] {
        const auto burst = [](int n) {
          heddle::channel<int> gate;
          std::vector<heddle::join_handle<void>> all;
          for (int i = 0; i != n; ++i) all.push_back(heddle::spawn([&] { (void)gate.receive(); }));
          while (heddle::stats().stacks < static_cast<std::size_t>(n)) heddle::this_fiber::yield();
          gate.close();
          for (auto& h : all) h.join();
        };
        burst(1000);
        ::malloc_trim(0);
        const std::size_t first = resident_bytes();
        burst(50'000);
        ::malloc_trim(0);
        const std::size_t after_burst = resident_bytes();
        BOOST_TEST(after_burst > first + 50'000u * 4096u);
        const auto start = std::chrono::steady_clock::now();
        std::size_t now = after_burst;
        while (now > first + first / 10 && std::chrono::steady_clock::now() - start < heddle::testing::late) {
          heddle::this_fiber::sleep_for(100ms);
          now = resident_bytes();
        }
        BOOST_TEST_MESSAGE((first >> 10) << " KiB before, " << (after_burst >> 10) << " after, " << (now >> 10)
                                         << " at last");
        BOOST_TEST(now <= first + first / 10);
        // What has been given back is there when it is needed again.
        burst(2000);
      },
      {.procs = 2});
}

// While most slots of a reservation are empty, and some of those are used again.
BOOST_AUTO_TEST_CASE(what_is_used_again_is_not_given_back, *boost::unit_test::enable_if<native>()) {
  heddle::run(
      [] {
        constexpr auto some_rounds = 4500ms;  // of giving back
        const heddle::fiber_options o{.stack_size = std::size_t{48} << 10};
        heddle::channel<int> first, second, third, fourth;
        const auto parked_at = [&o](heddle::channel<int>& gate) {
          return heddle::spawn(o, [&gate] {
            volatile char frame[4000];
            for (volatile char& c : frame) c = 7;
            (void)gate.receive();
            bool whole = true;
            for (volatile char& c : frame) whole = whole && c == 7;
            return whole;
          });
        };
        std::vector<heddle::join_handle<bool>> kept, burst;
        kept.push_back(parked_at(first));
        for (int i = 0; i != 100; ++i) burst.push_back(parked_at(second));
        heddle::this_fiber::yield();
        second.close();
        for (auto& one : burst) BOOST_TEST_REQUIRE(one.join());
        heddle::this_fiber::sleep_for(some_rounds);
        for (int i = 0; i != 3; ++i) kept.push_back(parked_at(third));
        auto ends = parked_at(fourth);
        heddle::this_fiber::yield();
        fourth.close();
        BOOST_TEST(ends.join());
        heddle::this_fiber::sleep_for(some_rounds);
        first.close();
        third.close();
        for (auto& one : kept) BOOST_TEST(one.join());
      },
      {.procs = 1});
}

// Guards of megabytes, which stacks have at first, would take too much of it.
BOOST_AUTO_TEST_CASE(guards_are_small_where_the_address_space_is_limited, *boost::unit_test::enable_if<native>()) {
  const auto taken = [](bool limited) {
    int ends[2];
    BOOST_REQUIRE(::pipe(ends) == 0);
    const auto end = death_of([&] {
      if (limited) {
        const rlimit much{std::size_t{1} << 44, RLIM_INFINITY};
        ::setrlimit(RLIMIT_AS, &much);
      }
      const std::size_t taken_by_run =
          heddle::run([before = address_space()] { return address_space() - before; }, {.procs = 1});
      if (::write(ends[1], &taken_by_run, sizeof taken_by_run) != sizeof taken_by_run) ::_exit(1);
    });
    BOOST_TEST(end.status == 0);
    std::size_t n = 0;
    BOOST_TEST(::read(ends[0], &n, sizeof n) == static_cast<ssize_t>(sizeof n));
    ::close(ends[0]);
    ::close(ends[1]);
    return n;
  };
  const std::size_t freely = taken(false), limited = taken(true);
  BOOST_TEST(limited + (std::size_t{64} << 20) < freely, limited << " bytes with a limit, " << freely << " without");
}

BOOST_AUTO_TEST_CASE(bursts_of_many_sizes_again_and_again) {
  const auto until = std::chrono::steady_clock::now() + (native ? 6s : 10s);  // some periods of giving back
  heddle::run(
      [until] {
        for (int n = 1; std::chrono::steady_clock::now() < until; n = n * 7 % 1009) {
          heddle::wait_group all(static_cast<std::uint32_t>(n));
          std::atomic<long> sum{0};
          for (int i = 0; i != n; ++i)
            heddle::go({.stack_size = std::size_t{native ? 16384u : 131072u} << (i % 3)}, [&, i] {
              volatile char frame[4000];
              frame[0] = static_cast<char>(i);
              heddle::this_fiber::sleep_for(1ms);
              sum += frame[0] == static_cast<char>(i) ? i : -1'000'000;
              all.done();
            });
          all.wait();
          BOOST_TEST_REQUIRE(sum == static_cast<long>(n) * (n - 1) / 2);
        }
      },
      {.procs = 2});
}

BOOST_AUTO_TEST_SUITE_END()
