// SPDX-License-Identifier: BSL-1.0
//
// A process ends while the collector marks: the destructors of globals tell it of addresses, and it finds all that it
// needs.
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <thread>

#include "heddle/gc.hpp"
#include "support/death.hpp"

namespace {

namespace gc = heddle::gc;

struct node {
  gc::ptr<node> next;
};

/// Destroyed when the process ends.
std::array<gc::ptr<node>, 10'000> globals;

/// What a child does: it ends in the middle of a cycle, wherever that is.
[[noreturn]] void end_while_it_marks(int child) {
  heddle::testing::leave_signal_stack_of_harness();
  for (auto& g : globals)
    for (int i = 0; i != 5; ++i) g = gc::make<node>(g);
  std::thread([] {
    for (;;) gc::collect();
  }).detach();
  std::this_thread::sleep_for(std::chrono::microseconds(500 * child));
  std::exit(0);
}

/// Its status; -1: it does not end.
int end_of(pid_t child) {
  for (int i = 0; i != 2'000; ++i) {
    int status = 0;
    if (::waitpid(child, &status, WNOHANG) == child) return status;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  return -1;
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_process_ends_while_the_collector_marks) {
  for (int i = 0; i != 60; ++i) {
    const pid_t child = ::fork();
    if (child == 0) end_while_it_marks(i);
    BOOST_REQUIRE(child > 0);
    BOOST_REQUIRE_EQUAL(end_of(child), 0);
  }
}
