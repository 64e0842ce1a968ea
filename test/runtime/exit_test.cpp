// SPDX-License-Identifier: BSL-1.0
//
// The ways out of a process: each row of the table in runtime/README.md.
#include <signal.h>

#include <boost/test/unit_test.hpp>
#include <string>

#include "heddle/heddle.hpp"
#include "support/death.hpp"
#include "support/leak_check.hpp"
#include "support/scale.hpp"

namespace {

using heddle::testing::death;
using heddle::testing::sanitized;
using heddle::testing::thread_sanitized;

death leave_by(const char* way) { return heddle::testing::death_of_program(EXIT_SUBJECT, way); }

/// The process has ended with that status, after it said exactly that text.
void ends(const char* way, int status, const std::string& text) {
  const death end = leave_by(way);
  BOOST_TEST(end.signal == 0, way << ": signal " << end.signal << '\n' << end.text);
  BOOST_TEST(end.status == status, way << '\n' << end.text);
  // A sanitizer may report things that are left behind.
  BOOST_TEST((sanitized ? end.says(text.c_str()) : end.text == text), way << '\n' << end.text);
}
/// The process has been aborted, and has said those words.
void aborts(const char* way, const char* words, bool with_destructors = false) {
  const death end = leave_by(way);
  BOOST_TEST(end.signal == SIGABRT, way << ": signal " << end.signal << '\n' << end.text);
  BOOST_TEST(end.says(words), way << '\n' << end.text);
  BOOST_TEST(end.says("static objects are destroyed") == with_destructors, way);
}

const std::string destroyed = "static objects are destroyed\n";

}  // namespace

BOOST_FIXTURE_TEST_SUITE(exit_, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(waits_for_fibers_that_go_on_by_themselves) {
  ends("sleeping", 3, "the fiber has ended\n" + destroyed);
  ends("computing", 3, "the fiber has ended\n" + destroyed);
  ends("blocking", 3, "the fiber has ended\n" + destroyed);
  ends("exit_in_main", 4, "the fiber has ended\n" + destroyed);
}

BOOST_AUTO_TEST_CASE(waits_for_fibers_that_go_on_for_some_seconds_only) {
  const death late = leave_by("computing_for_long");
  BOOST_TEST(late.status == 3, late.text);
  BOOST_TEST((late.text.find(destroyed) < late.text.find("the process waits for fibers")), late.text);
  BOOST_TEST(late.says("the fiber has ended"), late.text);
  const death never = leave_by("calling_for_ever");
  BOOST_TEST(never.status == 3, never.text);
  BOOST_TEST(never.says("(fibers left: 1)"), never.text);
}

BOOST_AUTO_TEST_CASE(threads_that_go_on_do_not_keep_the_process) {
  for (const char* way : {"threads_that_start_fibers", "threads_that_start_sleepers", "threads_that_start_runtimes",
                          "threads_that_start_fibers_when_they_end", "thread_that_shuts_down"}) {
    const death end = leave_by(way);
    BOOST_TEST(end.signal == 0, way << '\n' << end.text);
    BOOST_TEST(end.status == 3, way << '\n' << end.text);
    BOOST_TEST(end.says(destroyed.c_str()), way << '\n' << end.text);
  }
}

BOOST_AUTO_TEST_CASE(leaves_fibers_behind_that_wait_for_others) {
  ends("waiting", 3, destroyed);
  ends("exit_in_main_while_others_wait", 4, destroyed);
  ends("sleeping_for_ever", 3, destroyed);
}

BOOST_AUTO_TEST_CASE(static_objects_may_own_fibers) {
  ends("owner", 3, "request 1\nthe worker has ended\n" + destroyed);
  ends("owner_with_ticker", 3, "request 1\nthe worker has ended\n" + destroyed);
  ends("owner_of_one_that_polls", 3, "the worker has ended\n" + destroyed);
  ends("owner_of_one_that_yields", 3, "the worker has ended\n" + destroyed);
  ends("owner_of_one_in_a_call", 3, "the worker has ended\n" + destroyed);
  ends("owner_of_one_that_waits_by_the_hour", 3, "the worker has ended\n" + destroyed);
}

BOOST_AUTO_TEST_CASE(destructors_of_static_objects_may_do_anything) {
  ends("destructor_starts_fibers", 3, "joined\n" + destroyed + "the fiber has ended\n");
  ends("destructor_starts_fibers_again", 3, destroyed + "the fiber has ended\n");
  ends("destructor_shuts_down", 3, "shut down\n" + destroyed);
  ends("destructor_runs", 3, "the fiber has ended\n" + destroyed);
  ends("statics_younger_than_the_runtime", 3, "alive\nrun in a destructor\n" + destroyed);
}

BOOST_AUTO_TEST_CASE(a_deadlock_in_a_destructor_is_reported, *boost::unit_test::enable_if<!thread_sanitized>()) {
  aborts("destructor_waits_in_vain", "all fibers are asleep");
}

BOOST_AUTO_TEST_CASE(destructors_of_thread_locals_may_start_and_wait) {
  const std::string once = "joined\nflushed\nrun has returned\n";
  const death end = leave_by("thread_local_of_machine");
  BOOST_TEST(end.status == 3);
  // Each run has waited for both.
  std::string rest = end.text;
  for (int i = 0; i != 2; ++i) {
    const std::string part = rest.substr(0, once.size());
    for (const char* words : {"joined\n", "flushed\n", "run has returned\n"})
      BOOST_TEST((part.find(words) != std::string::npos), end.text);
    rest.erase(0, once.size());
  }
  BOOST_TEST((rest.find(destroyed) == 0), end.text);
  ends("thread_local_of_machine_shuts_down", 3, "at once\nshut down\n" + destroyed);
  ends("thread_local_of_machine_runs", 3,
       "heddle::run: called by the destructor of a thread-local on \nrun has returned\n" + destroyed);
  ends("exit_in_thread_local_of_machine", 5, destroyed);
  ends("thread_local_of_main", 3, "the fiber has ended\n" + destroyed);
  ends("thread_local_of_thread", 3, "the fiber has ended\n" + destroyed);
}

BOOST_AUTO_TEST_CASE(a_fiber_or_thread_may_call_exit) {
  ends("exit_in_fiber", 5, destroyed);
  ends("exit_in_lazy_fiber", 5, destroyed);
  ends("exit_in_fiber_while_main_waits_for_others", 5, destroyed);
  ends("exit_in_fiber_under_a_lock", 5, destroyed);
  ends("exit_in_fiber_that_owns", 5, "the worker has ended\n" + destroyed);
  ends("exit_in_thread", 6, destroyed);
}

/// ThreadSanitizer says that they are in use, and so they are.
BOOST_AUTO_TEST_CASE(objects_may_be_destroyed_in_use_at_exit_only, *boost::unit_test::enable_if<!thread_sanitized>()) {
  ends("exit_in_thread_with_objects_younger_than_the_runtime", 6, destroyed);
  ends("thread_waits_without_a_runtime", 3, destroyed);
  ends("exit_in_thread_without_a_runtime", 6, destroyed);
  aborts("destroyed_in_use", "destroyed while others wait for it; join them first");
}

BOOST_AUTO_TEST_CASE(main_may_end_before_the_process, *boost::unit_test::enable_if<!sanitized>()) {
  ends("leave_by_pthread_exit", 0, "the fiber has ended\n" + destroyed);
  ends("leave_by_pthread_exit_after_all", 0, destroyed);
  ends("leave_by_pthread_exit_and_destructor_starts_fibers", 0, "joined\n" + destroyed + "the fiber has ended\n");
  ends("leave_by_pthread_exit_before_another_starts", 0, "the fiber has ended\n" + destroyed);
  ends("leave_by_pthread_exit_after_another_has_started", 0, destroyed);
  aborts("leave_by_pthread_exit_while_others_wait", "all fibers are asleep");
}

BOOST_AUTO_TEST_CASE(quick_ways_wait_for_nobody) {
  ends("leave_by_quick_exit", 7, "quick\n");
  ends("leave_by__exit", 8, "");
  aborts("leave_by_abort", "");
  if (!thread_sanitized) aborts("leave_by_pthread_exit_in_fiber", "");
  aborts("leave_by_exception", "nobody catches it");
  aborts("leave_by_exception_in_fiber", "nobody catches it");
}

BOOST_AUTO_TEST_CASE(what_main_throws_is_not_lost) {
  ends("main_throws", 3,
       "heddle: main has thrown std::runtime_error: cannot bind port 80; run() rethrows it when the other fibers have "
       "ended (1 are left)\ncaught: cannot bind port 80\n" +
           destroyed);
  aborts("main_throws_uncaught", "cannot bind port 80");
  if (!thread_sanitized)
    aborts("main_throws_while_others_wait", "main has thrown std::runtime_error: cannot bind port 80");
}

BOOST_AUTO_TEST_CASE(a_module_stays_while_its_threads_do) { ends("unload", 3, "unloaded\n" + destroyed); }

BOOST_AUTO_TEST_SUITE_END()
