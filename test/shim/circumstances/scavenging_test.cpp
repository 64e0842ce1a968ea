// SPDX-License-Identifier: BSL-1.0
//
// Memory goes back, and the process stays as it was: a thread that nobody has asked for would be in the way of much.
#define BOOST_TEST_MODULE shim_scavenging
#include <sched.h>

#include "shim/shim.hpp"

using namespace heddle::testing;

namespace {

/// Runs `giving_back WAY` with these options.
death giving_back(const char* way, const char* options = "pace=100", const char* program = HEDDLE_SHIM_GIVING_BACK) {
  return fate_of([&] {
    ::setenv("HEDDLE_MALLOC", options, 1);
    ::execl(program, program, way, nullptr);
    ::_exit(127);
  });
}

void expect_well(const death& how) {
  BOOST_TEST_CONTEXT(how.text) {
    BOOST_TEST(how.signal == 0);
    BOOST_TEST(how.status == 0);
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(a_process_of_one_thread)

BOOST_AUTO_TEST_CASE(gives_back_while_it_calls) { expect_well(giving_back("calls")); }
BOOST_AUTO_TEST_CASE(gives_back_no_earlier_than_the_pace) { expect_well(giving_back("late", "pace=2000")); }
BOOST_AUTO_TEST_CASE(gives_back_when_it_is_trimmed) { expect_well(giving_back("trim")); }
BOOST_AUTO_TEST_CASE(may_be_killed_for_another_thread) { expect_well(giving_back("no_clone")); }
BOOST_AUTO_TEST_CASE(may_be_killed_for_all_calls_but_those_for_memory) { expect_well(giving_back("filtered")); }
BOOST_AUTO_TEST_CASE(may_be_killed_for_giving_back) { expect_well(giving_back("no_madvise", "pace=1,scavenger=off")); }
BOOST_AUTO_TEST_CASE(ends_with_its_thread) { expect_well(giving_back("exit")); }
BOOST_AUTO_TEST_CASE(is_one_again_when_others_have_been_joined) { expect_well(giving_back("joins")); }

/// The kernel refuses that to a process of several threads, whatever else it may do.
BOOST_AUTO_TEST_CASE(may_leave_its_namespaces) {
  BOOST_TEST(ends_well([] {
    for (const std::size_t n : {8 * MiB, 8 * MiB, 9 * MiB, 300 * KiB}) {
      std::vector<void*> all(16 * MiB / n + 4);
      for (void*& p : all) p = opaque(std::malloc(n)), std::memset(p, 1, n);
      for (void* const p : all) std::free(p);
    }
    insist(::unshare(CLONE_NEWUSER) == 0 || errno != EINVAL, "it is taken for a process of several threads");
  }));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(a_process_of_several_threads)

BOOST_AUTO_TEST_CASE(gives_back_while_they_sleep) { expect_well(giving_back("sleeps")); }
BOOST_AUTO_TEST_CASE(has_a_child_of_several) { expect_well(giving_back("child", "pace=500")); }
BOOST_AUTO_TEST_CASE(has_a_child_of_one) { expect_well(giving_back("lone_child", "pace=500")); }
BOOST_AUTO_TEST_CASE(ends_with_its_last_thread) { expect_well(giving_back("exit_of_main")); }
BOOST_AUTO_TEST_CASE(may_be_killed_for_another_thread) { expect_well(giving_back("two_no_clone")); }
BOOST_AUTO_TEST_CASE(may_be_killed_for_all_calls_but_those_for_memory) { expect_well(giving_back("two_filtered")); }
BOOST_AUTO_TEST_CASE(may_be_killed_before_they_are_several) { expect_well(giving_back("threads_filtered")); }
BOOST_AUTO_TEST_CASE(has_another_made_later_if_it_is_refused) { expect_well(giving_back("refused")); }
BOOST_AUTO_TEST_CASE(has_a_normal_one_made) { expect_well(giving_back("class")); }
BOOST_AUTO_TEST_CASE(may_refuse_to_have_another) { expect_well(giving_back("two", "pace=100,scavenger=steps")); }
BOOST_AUTO_TEST_CASE(may_keep_what_it_has) { expect_well(giving_back("stays", "pace=1,scavenger=off")); }

/// glibc has these on the stacks of threads. The smaller ones leave something of a small stack, but not enough.
BOOST_AUTO_TEST_CASE(may_have_large_thread_local_variables) {
  expect_well(giving_back("sleeps", "pace=100", HEDDLE_SHIM_GIVING_BACK_123000));
  expect_well(giving_back("sleeps", "pace=100", HEDDLE_SHIM_GIVING_BACK_1000000));
}

BOOST_AUTO_TEST_SUITE_END()
