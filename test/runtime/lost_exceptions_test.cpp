// SPDX-License-Identifier: BSL-1.0
//
// Exceptions that nobody gets.
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <string>

#include <boost/test/unit_test.hpp>

#include "heddle/heddle.hpp"
#include "support/death.hpp"
#include "support/leak_check.hpp"

namespace {

using heddle::lost_exception_policy;
using heddle::testing::death;
using heddle::testing::death_of;

[[noreturn]] void fails() { throw std::runtime_error("cannot bind"); }
const heddle::fiber_options named{.name = "server"};

/// How a program ends in which main does this.
template <class F>
death end_of(F main, lost_exception_policy policy = lost_exception_policy::report) {
  return death_of([&] { heddle::run(main, {.procs = 1, .lost_exceptions = policy}); });
}

void says_once(const death& d, const char* since) {
  BOOST_TEST(d.signal == 0);
  BOOST_TEST(d.status == 0);
  BOOST_TEST(d.text.starts_with("heddle: an exception of fiber "), d.text);
  BOOST_TEST(
      d.text.ends_with(" \"server\" is lost, since " + std::string(since) + ": std::runtime_error: cannot bind\n"),
      d.text);
  BOOST_TEST(d.text.find('\n') == d.text.size() - 1, d.text);
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(lost_exceptions, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(of_a_handle_that_is_destroyed) {
  says_once(end_of([] { auto h = heddle::spawn(named, fails); }), "its join_handle was let go without join()");
}

BOOST_AUTO_TEST_CASE(of_a_handle_that_is_assigned_to) {
  says_once(end_of([] {
              auto h = heddle::spawn(named, fails);
              h = heddle::spawn([] {});
            }),
            "its join_handle was let go without join()");
}

BOOST_AUTO_TEST_CASE(of_a_function_with_a_large_result) {
  struct large {
    char room[4096];
  };
  says_once(end_of([] { auto h = heddle::spawn(named, []() -> large { fails(); }); }),
            "its join_handle was let go without join()");
}

BOOST_AUTO_TEST_CASE(of_a_fiber_that_is_detached_before_and_after_it_ends) {
  const char* const since = "it was detached";
  says_once(end_of([] { heddle::spawn(named, fails).detach(); }), since);
  says_once(end_of([] {
              auto h = heddle::spawn(named, fails);
              heddle::this_fiber::sleep_for(std::chrono::milliseconds(1));
              h.detach();
            }),
            since);
}

BOOST_AUTO_TEST_CASE(of_a_group_that_is_destroyed) {
  const char* const since = "its group was destroyed without wait()";
  says_once(end_of([] {
              heddle::group g;
              g.spawn(named, fails);
              heddle::this_fiber::sleep_for(std::chrono::milliseconds(1));
            }),
            since);
  // The first is reported, of the others nobody hears.
  says_once(end_of([] {
              heddle::group g;
              g.spawn({.name = "second"}, [] {
                heddle::this_fiber::sleep_for(std::chrono::milliseconds(1));
                throw 7;
              });
              g.spawn(named, fails);
              heddle::this_fiber::sleep_for(std::chrono::milliseconds(2));
            }),
            since);
}

BOOST_AUTO_TEST_CASE(nothing_is_said_of_those_that_somebody_gets) {
  const death d = end_of([] {
    auto h = heddle::spawn(named, fails);
    try {
      h.join();
    } catch (const std::runtime_error&) {
    }
    heddle::group g;
    g.spawn(named, fails);
    try {
      g.wait();
    } catch (const std::runtime_error&) {
    }
    auto value = heddle::spawn([] { return 1; });
    auto moved = std::move(value);
    heddle::spawn([] {}).detach();
    heddle::promise<int> p;
    p.set_exception(std::make_exception_ptr(std::runtime_error("as with std")));
  });
  BOOST_TEST(d.status == 0);
  BOOST_TEST(d.text == "");
}

BOOST_AUTO_TEST_CASE(the_option_makes_them_fatal_or_silent) {
  const auto drops = [] { auto h = heddle::spawn(named, fails); };
  const death fatal = end_of(drops, lost_exception_policy::fatal);
  BOOST_TEST(fatal.signal == SIGABRT);
  BOOST_TEST(
      fatal.says("\"server\" is lost, since its join_handle was let go without join(): std::runtime_error: cannot"));
  const death silent = end_of(drops, lost_exception_policy::ignore);
  BOOST_TEST(silent.status == 0);
  BOOST_TEST(silent.text == "");
  const death by_environment = death_of([&] {
    ::setenv("HEDDLE", "lost_exceptions=fatal", 1);
    heddle::run(drops);
  });
  BOOST_TEST(by_environment.signal == SIGABRT);
  const death wrong = death_of([&] {
    ::setenv("HEDDLE", "lost_exceptions=most", 1);
    heddle::run([] {});
  });
  BOOST_TEST(wrong.says("bad value \"most\" for lost_exceptions (ignore|report|fatal)"), wrong.text);
  BOOST_CHECK_EXCEPTION(heddle::run([] {}, {.lost_exceptions = static_cast<lost_exception_policy>(3)}),
                        std::invalid_argument, [](const std::exception& e) {
                          return std::string(e.what()) ==
                                 "heddle: lost_exceptions 3 is out of range: ignore (0), report (1) or fatal (2)";
                        });
}

BOOST_AUTO_TEST_CASE(what_is_no_std_exception_has_its_type) {
  const death d = end_of([] { auto h = heddle::spawn(named, [] { throw 7; }); });
  BOOST_TEST(d.text.ends_with("without join(): int\n"), d.text);
}

BOOST_AUTO_TEST_CASE(after_the_end_of_the_runtime_they_are_reported) {
  says_once(death_of([] {
              heddle::join_handle<void> outlives;
              heddle::run([&] { outlives = heddle::spawn(named, fails); });
            }),
            "its join_handle was let go without join()");
}

BOOST_AUTO_TEST_SUITE_END()
