// SPDX-License-Identifier: BSL-1.0
//
// Frames that are larger than a page in code that does not touch each of its pages (no -fstack-clash-protection): how
// large they may be until the guard below the stack is jumped over. stack_memory.hpp says how large guards are.
#include <alloca.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "heddle/heddle.hpp"
#include "support/death.hpp"
#include "support/leak_check.hpp"
#include "support/scale.hpp"

namespace {

using heddle::testing::death;
using heddle::testing::death_of;

constexpr bool native = !heddle::testing::sanitized;  // the sanitizers have small guards, and reports of their own
constexpr std::size_t kib = 1024;
constexpr std::size_t just_over = 258'500;  // ends within the page below a stack of the default size

/// A frame of so many bytes, of which only the far end is written.
[[gnu::noinline]] void reaches_down(std::size_t bytes) {
  char* const end = static_cast<char*>(alloca(bytes));
  std::memset(end, 0, 100);
  asm volatile("" : : "r"(end) : "memory");
}

/// A process parks `others` fibers, and then runs a fiber with such a frame on a stack of `stack` bytes.
death frame_among(
    int others, std::size_t bytes, std::size_t stack = 0, void (*before)() = [] {}) {
  return death_of([&] {
    ::signal(SIGSEGV, SIG_DFL);
    before();
    heddle::run(
        [&] {
          heddle::channel<int> never;
          heddle::wait_group parked(static_cast<std::uint32_t>(others));
          std::vector<heddle::join_handle<void>> all;
          for (int i = 0; i != others; ++i)
            all.push_back(heddle::spawn({.stack_size = stack}, [&] {
              parked.done();
              (void)never.receive();
            }));
          parked.wait();
          bool begun = false;
          auto reacher = heddle::spawn({.name = "reacher", .stack_size = stack}, [&] {
            begun = true;
            heddle::this_fiber::yield();
            reaches_down(bytes);
          });
          while (!begun) heddle::this_fiber::yield();  // else the fiber would run on the stack of its joiner
          reacher.join();
          never.close();
        },
        {.procs = 1});
  });
}

void is_caught(const death& end) {
  BOOST_TEST(end.signal == SIGSEGV);
  BOOST_TEST(end.says("stack overflow in fiber "), end.text);
  BOOST_TEST(end.says("\"reacher\""), end.text);
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(guards, heddle::testing::leak_check, *boost::unit_test::enable_if<native>())

BOOST_AUTO_TEST_CASE(frames_of_megabytes_are_caught_among_few) {
  for (const std::size_t bytes : {260 * kib, 300 * kib, 400 * kib, 1000 * kib, 4000 * kib, 8100 * kib})
    is_caught(frame_among(40, bytes));
  is_caught(frame_among(60, 8000 * kib, 16 * kib));  // whatever the size of the stack
}

BOOST_AUTO_TEST_CASE(frames_of_half_a_megabyte_are_caught_among_hundreds) {
  for (const std::size_t bytes : {260 * kib, 500 * kib, 760 * kib}) is_caught(frame_among(900, bytes));
}

BOOST_AUTO_TEST_CASE(frames_of_a_few_pages_are_caught_among_thousands) {
  is_caught(frame_among(1500, 310 * kib));
  is_caught(frame_among(2500, just_over));
}

BOOST_AUTO_TEST_CASE(a_frame_that_fits_is_none_of_it) {
  const death end = frame_among(40, 200 * kib);
  BOOST_TEST(end.signal == 0, end.text);
  BOOST_TEST(end.status == 0, end.text);
}

/// Markers are set then, though the kernel makes no mapping more.
BOOST_AUTO_TEST_CASE(frames_are_caught_when_no_mapping_can_be_had) {
  const auto use_up_mappings = [] {
    constexpr std::size_t page = 4096, most = 70'000, left = 40;
    char* const all = static_cast<char*>(
        ::mmap(nullptr, 2 * most * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    std::size_t n = 0;
    while (n != most && ::mprotect(all + 2 * n * page, page, PROT_READ) == 0) ++n;
    if (n == most) ::_exit(77);  // vm.max_map_count is larger than usual
    for (std::size_t i = n - left; i != n; ++i) ::mprotect(all + 2 * i * page, page, PROT_NONE);
  };
  for (const int others : {6, 40, 90}) {
    const death end = frame_among(others, 300 * kib, 0, use_up_mappings);
    if (end.status != 77 || end.signal != 0) is_caught(end);
  }
}

BOOST_AUTO_TEST_CASE(guards_are_small_where_address_space_is) {
  const auto bounded = [] {
    const rlimit space{std::size_t{1} << 30, RLIM_INFINITY};
    ::setrlimit(RLIMIT_AS, &space);
  };
  is_caught(frame_among(40, just_over, 0, bounded));
  BOOST_TEST(frame_among(1000, 100 * kib, 0, bounded).status == 0);  // 1,000 guards of megabytes would not fit
}

BOOST_AUTO_TEST_SUITE_END()

// --- locked memory ---------------------------------------------------------------------------------------------------

namespace {

/// From /proc/self/status, in KiB.
std::size_t status_of(const std::string& name) {
  std::ifstream status("/proc/self/status");
  std::string key;
  std::size_t value = 0;
  while (status >> key)
    if (key == name + ":" && status >> value) return value;
  return 0;
}

bool lock_all(int flags) { return ::mlockall(flags) == 0; }

/// KiB that 1,000 parked fibers take, and still take after they have ended, in a process that locks its memory when it
/// begins or when a fiber runs; written to stderr.
death parks_locked(bool first) {
  return death_of([&] {
    if (first && !lock_all(MCL_CURRENT | MCL_FUTURE)) ::_exit(77);
    heddle::run([&] {
      if (!first && !lock_all(MCL_CURRENT | MCL_FUTURE)) ::_exit(77);
      const std::size_t before = status_of("VmRSS");
      heddle::channel<int> most_end;
      heddle::channel<int> some_stay;  // so that no reservation is without use
      heddle::wait_group most, some;
      heddle::wait_group parked(1000);
      for (int i = 0; i != 1000; ++i)
        (i % 8 == 0 ? some : most).go([&, i] {
          parked.done();
          (void)(i % 8 == 0 ? some_stay : most_end).receive();
        });
      parked.wait();
      const std::size_t grown = status_of("VmRSS") - before;
      if (grown > 8'000) ::dprintf(2, "%zu KiB for 1,000 parked fibers\n", grown);
      if (grown < 3'500) ::dprintf(2, "only %zu KiB\n", grown);
      if (status_of("VmLck") < 250'000) ::dprintf(2, "stacks are not locked\n");
      most_end.close();
      most.wait();
      const auto kept = [before] { return status_of("VmRSS") > before + 2'000; };
      if (first) {  // giving back takes two of the monitor's periods
        for (int i = 0; i != 100 && kept(); ++i) heddle::this_fiber::sleep_for(std::chrono::milliseconds(100));
        if (kept()) ::dprintf(2, "%zu KiB are kept\n", status_of("VmRSS") - before);
      }
      some_stay.close();
      some.wait();
      ::dprintf(2, "done\n");
    });
  });
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(locked_memory, heddle::testing::leak_check, *boost::unit_test::enable_if<native>())

BOOST_AUTO_TEST_CASE(of_a_stack_only_what_is_used_is_locked) {
  for (const bool first : {true, false}) {
    const death end = parks_locked(first);
    if (end.status == 77) {
      BOOST_TEST_MESSAGE("memory may not be locked here");
      return;
    }
    BOOST_TEST(end.text == "done\n", end.text);
    BOOST_TEST(end.status == 0);
  }
}

BOOST_AUTO_TEST_CASE(guards_are_there_all_the_same) {
  for (const int others : {40, 900, 2500}) {
    const death end = frame_among(others, just_over, 0, [] {
      if (!lock_all(MCL_CURRENT | MCL_FUTURE)) ::_exit(77);
    });
    if (end.status != 77) is_caught(end);
  }
}

BOOST_AUTO_TEST_SUITE_END()
