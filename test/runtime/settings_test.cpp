// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE runtime_settings
#include "settings.hpp"

#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstdlib>

using namespace std::chrono_literals;

namespace {

/// What HEDDLE makes of the options in the code.
heddle::options with(const char* text, heddle::options in_code = {}) {
  ::setenv("HEDDLE", text, 1);
  const heddle::options o = heddle::detail::effective_options(in_code);
  ::unsetenv("HEDDLE");
  return o;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(settings)

BOOST_AUTO_TEST_CASE(each_option_by_its_name_in_code) {
  BOOST_TEST(with("procs=3").procs == 3u);
  BOOST_TEST(with("stack_size=64K").stack_size == 64u << 10);
  BOOST_TEST(with("segment_size=1K").segment_size == 1024u);
  BOOST_TEST(with("segment_size=1024").segment_size == 1024u);
  BOOST_TEST(with("segment_size=2K", {.segment_size = 1024}).segment_size == 2048u);
  BOOST_TEST(with("segment_size=2048", {.segment_size = 1024}).segment_size == 2048u);
  BOOST_TEST(with("max_stack=3M").max_stack == 3u << 20);
  BOOST_TEST(with("max_machines=5").max_machines == 5u);
  BOOST_TEST((with("slice=25ms").slice == 25ms));
  BOOST_TEST((with("slice=2s").slice == 2s));
  BOOST_TEST((with("slice=1500").slice == 1500us));
  BOOST_TEST(!with("detect_deadlock=off").detect_deadlock);
  BOOST_TEST(with("detect_deadlock", {.detect_deadlock = false}).detect_deadlock);
  BOOST_TEST(!with("monitor=no").monitor);
  BOOST_TEST(with("preempt").preempt);
  BOOST_TEST(!with("report_overflow=false").report_overflow);
  BOOST_TEST(with("abort_conf=on").abort_conf);
}

BOOST_AUTO_TEST_CASE(the_older_names) {
  BOOST_TEST(with("stack=32K").stack_size == 32u << 10);
  BOOST_TEST(with("segment=1K").segment_size == 1024u);
  BOOST_TEST(with("machines=6").max_machines == 6u);
  BOOST_TEST(!with("deadlock=0").detect_deadlock);
  BOOST_TEST(!with("overflow=0").report_overflow);
}

BOOST_AUTO_TEST_CASE(what_is_not_named_stays) {
  const heddle::options in_code{.procs = 2,
                                .stack_size = 128 << 10,
                                .segment_size = 1024,
                                .max_stack = 8 << 20,
                                .slice = 7ms,
                                .max_machines = 9,
                                .detect_deadlock = false,
                                .monitor = false,
                                .preempt = true,
                                .report_overflow = false,
                                .abort_conf = true};
  const heddle::options o = with("", in_code);
  BOOST_TEST((o.procs == 2 && o.stack_size == 128u << 10 && o.segment_size == 1024 && o.max_stack == 8u << 20));
  BOOST_TEST((o.slice == 7ms && o.max_machines == 9 && !o.detect_deadlock && !o.monitor && o.preempt));
  BOOST_TEST((!o.report_overflow && o.abort_conf));
}

BOOST_AUTO_TEST_CASE(no_number_of_processors_is_as_many_as_there_are) {
  BOOST_TEST(with("procs=0", {.procs = 7}).procs == heddle::detail::usable_processors());
  BOOST_TEST(with("").procs >= 1u);
}

BOOST_AUTO_TEST_SUITE_END()
