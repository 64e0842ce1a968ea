// SPDX-License-Identifier: BSL-1.0
//
// The settings that `HEDDLE` and options come to.
#include "settings.hpp"

#include <stdlib.h>

#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstddef>
#include <stdexcept>
#include <string>

#include "heddle/run.hpp"
#include "support/death.hpp"
#include "support/leak_check.hpp"

namespace {

using namespace std::chrono_literals;
using heddle::options;
using heddle::testing::death;
using heddle::testing::death_of;

constexpr std::size_t kib = std::size_t{1} << 10, mib = kib << 10, gib = mib << 10;

/// HEDDLE while it lives.
struct environment {
  explicit environment(const char* text) { ::setenv("HEDDLE", text, 1); }
  environment(const environment&) = delete;
  environment& operator=(const environment&) = delete;
  ~environment() { ::unsetenv("HEDDLE"); }
};

options with(const char* text, const options& given = {}) {
  const environment here(text);
  return heddle::detail::effective_options(given);
}
/// The words about it on stderr.
death words_on(const char* text) {
  return death_of([text] { (void)with(text); });
}
bool is_refused(const options& o) {
  try {
    (void)heddle::detail::effective_options(o);
  } catch (const std::invalid_argument&) {
    return true;
  }
  return false;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(settings, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(each_key_sets_its_option) {
  const options o = with(
      "procs=3,stack=64K,segment=1024,max_stack=2M,slice=5000,machines=7,deadlock=0,monitor=0,preempt=1,overflow=0,"
      "abort_conf=1");
  BOOST_TEST(o.procs == 3u);
  BOOST_TEST(o.stack_size == 64 * kib);
  BOOST_TEST(o.segment_size == 1024u);
  BOOST_TEST(o.max_stack == 2 * mib);
  BOOST_TEST((o.slice == 5ms));
  BOOST_TEST(o.max_machines == 7u);
  BOOST_TEST((!o.detect_deadlock && !o.monitor && o.preempt && !o.report_overflow && o.abort_conf));
  const options back = with("deadlock=1,monitor=1,preempt=0,overflow=1,abort_conf=0", o);
  BOOST_TEST((back.detect_deadlock && back.monitor && !back.preempt && back.report_overflow && !back.abort_conf));
  BOOST_TEST(back.max_machines == 7u);  // what is not named stays
}

BOOST_AUTO_TEST_CASE(names_are_those_of_the_code) {
  BOOST_TEST(with("stack_size=64K").stack_size == 64 * kib);
  BOOST_TEST(with("segment_size=1K").segment_size == 1024u);
  BOOST_TEST(with("segment_size=2048", {.segment_size = 1024}).segment_size == 2048u);
  BOOST_TEST(with("max_machines=5").max_machines == 5u);
  BOOST_TEST(!with("detect_deadlock=off").detect_deadlock);
  BOOST_TEST(!with("report_overflow=false").report_overflow);
}

BOOST_AUTO_TEST_CASE(durations_have_units_and_switches_words) {
  BOOST_TEST((with("slice=25ms").slice == 25ms));
  BOOST_TEST((with("slice=2s").slice == 2s));
  BOOST_TEST((with("slice=1500").slice == 1500us));
  BOOST_TEST(with("detect_deadlock", {.detect_deadlock = false}).detect_deadlock);
  BOOST_TEST(!with("monitor=no").monitor);
  BOOST_TEST(with(" preempt = on ").preempt);
  BOOST_TEST(words_on("help").says("slice: how long a fiber may run"));
  BOOST_TEST(words_on("help,abort_conf").status == 0);  // no error
}

BOOST_AUTO_TEST_CASE(sizes_have_units) {
  BOOST_TEST(with("stack=16384").stack_size == 16 * kib);
  BOOST_TEST(with("stack=32k").stack_size == 32 * kib);
  BOOST_TEST(with("stack=2m").stack_size == 2 * mib);
  BOOST_TEST(with("max_stack=3G").max_stack == 3 * gib);
  BOOST_TEST(with("max_stack=3g").max_stack == 3 * gib);
  BOOST_TEST(with("segment=1K").segment_size == 1024u);
  BOOST_TEST(with("segment=2K", {.segment_size = 1024}).segment_size == 2048u);
}

BOOST_AUTO_TEST_CASE(limits_may_be_given) {
  BOOST_TEST(with("stack=16K").stack_size == 16 * kib);
  BOOST_TEST(with("stack=64M").stack_size == 64 * mib);
  BOOST_TEST(with("procs=4096").procs == 4096u);
  BOOST_TEST(with("procs=1").procs == 1u);
  BOOST_TEST(with("slice=1000").slice.count() == 1000);
  BOOST_TEST(with("slice=10000000").slice.count() == 10'000'000);
  BOOST_TEST(with("machines=1").max_machines == 1u);
  BOOST_TEST(with("max_stack=1M").max_stack == mib);
  BOOST_TEST(!is_refused({.procs = 4096}));
  BOOST_TEST(!is_refused({.stack_size = 16 * kib}));
  BOOST_TEST(!is_refused({.stack_size = 64 * mib}));
  BOOST_TEST(!is_refused({.segment_size = 1024}));
  BOOST_TEST(!is_refused({.max_stack = mib}));
  BOOST_TEST(!is_refused({.slice = 1ms}));
  BOOST_TEST(!is_refused({.max_machines = 1}));
}

BOOST_AUTO_TEST_CASE(beyond_them_is_refused) {
  BOOST_TEST(is_refused({.procs = 4097}));
  BOOST_TEST(is_refused({.stack_size = 16 * kib - 1}));
  BOOST_TEST(is_refused({.stack_size = 64 * mib + 1}));
  BOOST_TEST(is_refused({.segment_size = 1025}));
  BOOST_TEST(is_refused({.max_stack = mib - 1}));
  BOOST_TEST(is_refused({.slice = 999us}));
  BOOST_TEST(is_refused({.max_machines = 0}));
  for (const char* bad : {"slice=11s",
                          "slice=999us",
                          "max_machines=0",
                          "detect_deadlock=maybe",
                          "procs=4097",
                          "stack=16383",
                          "stack=65M",
                          "segment=1023",
                          "segment=3K",
                          "max_stack=1023K",
                          "slice=999",
                          "machines=0",
                          "deadlock=2",
                          "stack=",
                          "stack",
                          "stack=K",
                          "stack=-1",
                          "stack=99999999999G",
                          "stack=18014398509482048K",
                          "stack=18446744073709551616"}) {
    const death end = words_on(bad);
    const std::string name(bad, std::string(bad).find_first_of('=') == std::string::npos
                                    ? std::string(bad).size()
                                    : std::string(bad).find_first_of('='));
    BOOST_TEST(end.says(("for " + name + " (").c_str()), bad << " says " << end.text);
    BOOST_TEST(end.status == 0);  // and all goes on without it
  }
}

BOOST_AUTO_TEST_CASE(a_wrong_item_hides_no_other) {
  const death both = words_on("prcs=3,,procs=many,stack=1");
  BOOST_TEST(both.says("unknown key \"prcs\""), both.text);
  BOOST_TEST(both.says("bad value \"many\" for procs (0 to 4096)"), both.text);
  BOOST_TEST(both.says("bad value \"1\" for stack (16K to 64M, in bytes or with K, M, G)"), both.text);
  const death good = death_of([] {
    if (with("procs=many,machines=5").max_machines != 5) ::abort();
  });
  BOOST_TEST(good.signal == 0);
  const death fatal = words_on("procs=many,abort_conf=1");
  BOOST_TEST(fatal.status == 2);
  BOOST_TEST(words_on("procs=3,abort_conf=1").text == "");
}

BOOST_AUTO_TEST_CASE(processors_are_counted_where_none_are_said) {
  BOOST_TEST(with("procs=0").procs == heddle::detail::usable_processors());
  BOOST_TEST(with("procs=0", {.procs = 3}).procs == heddle::detail::usable_processors());
  BOOST_TEST(heddle::detail::usable_processors() >= 1u);
}

BOOST_AUTO_TEST_SUITE_END()
