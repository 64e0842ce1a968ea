// SPDX-License-Identifier: BSL-1.0
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <optional>
#include <string>

#include "heddle/detail/option_list.hpp"
#include "support/death.hpp"

using heddle::detail::option_entry;
using heddle::detail::option_form;
using heddle::detail::option_key;
using heddle::detail::option_value;
using heddle::testing::death_of;

namespace {

struct subject {
  std::optional<std::uint64_t> count, size, time, is_on, mode;
  std::string path;
  int times = 0;
};

template <std::optional<std::uint64_t> subject::*Member>
void set(subject& s, const option_value& value) {
  s.*Member = value.number;
  ++s.times;
}

constexpr option_entry<subject> table[] = {
    {{.name = "count", .form = option_form::number, .least = 2, .most = 99, .default_value = "7", .meaning = "things"},
     set<&subject::count>},
    {{.name = "size_in_code", .also = "size", .form = option_form::bytes, .meaning = "bytes"}, set<&subject::size>},
    {{.name = "time",
      .form = option_form::duration,
      .least = 1000,
      .most = 3'600'000'000'000,
      .unit = 1000,
      .meaning = "how long"},
     set<&subject::time>},
    {{.name = "switch", .form = option_form::on_off, .meaning = "whether"}, set<&subject::is_on>},
    {{.name = "mode", .form = option_form::word, .words = "slow|fast|fastest", .meaning = "how"}, set<&subject::mode>},
    {{.name = "path", .form = option_form::text, .most = 5, .meaning = "where"},
     [](subject& s, const option_value& value) { s.path = value.text; }},
};

subject read(const char* text, unsigned faults = 0) {
  subject s;
  BOOST_TEST(heddle::detail::read_option_list("VARIABLE", text, table, s) == faults, text);
  return s;
}

/// The words on stderr about a text that has one fault and changes nothing.
std::string fault(const std::string& text) {
  return death_of([&] {
           subject s;
           const unsigned n = heddle::detail::read_option_list("VARIABLE", text, table, s);
           ::_exit(n == 1 && s.times == 0 && s.path.empty() ? 0 : 1);
         })
      .text;
}
bool is_fault(const std::string& text) {
  const auto end = death_of([&] {
    subject s;
    const unsigned n = heddle::detail::read_option_list("VARIABLE", text, table, s);
    ::_exit(n == 1 && s.times == 0 && s.path.empty() ? 0 : 1);
  });
  return end.status == 0 && end.says("heddle: VARIABLE: ");
}

}  // namespace

BOOST_AUTO_TEST_SUITE(option_list)

BOOST_AUTO_TEST_CASE(numbers) {
  BOOST_TEST(*read("count=2").count == 2u);
  BOOST_TEST(*read("count=99").count == 99u);
  BOOST_TEST(*read("count=0050").count == 50u);
  for (const char* const bad : {"count=1", "count=100", "count=", "count", "count=-3", "count=+3", "count=3K",
                                "count=3 4", "count=0x10", "count=18446744073709551618", "count=3."})
    BOOST_TEST(is_fault(bad), bad);
  BOOST_TEST(fault("count=100") == "heddle: VARIABLE: bad value \"100\" for count (2 to 99)\n");
}

BOOST_AUTO_TEST_CASE(bytes) {
  BOOST_TEST(*read("size=0").size == 0u);
  BOOST_TEST(*read("size=4096").size == 4096u);
  for (const char* const text : {"size=64K", "size=64k", "size=64KB", "size=64KiB", "size=64 K", "size=65536B"})
    BOOST_TEST(*read(text).size == 65536u, text);
  BOOST_TEST(*read("size=3M").size == 3u << 20);
  BOOST_TEST(*read("size=5G").size == std::uint64_t{5} << 30);
  BOOST_TEST(*read("size=18446744073709551615").size == UINT64_MAX);
  BOOST_TEST(*read("size=17179869183G").size == UINT64_MAX - ((1u << 30) - 1));
  for (const char* const bad : {"size=17179869184G", "size=18446744073709551616", "size=K", "size=4T", "size=4KK",
                                "size=4Ki B", "size=4i", "size", "size="})
    BOOST_TEST(is_fault(bad), bad);
}

BOOST_AUTO_TEST_CASE(durations) {
  BOOST_TEST(*read("time=20").time == 20'000u);  // the unit of the key
  BOOST_TEST(*read("time=1000ns").time == 1000u);
  BOOST_TEST(*read("time=1us").time == 1000u);
  BOOST_TEST(*read("time=20ms").time == 20'000'000u);
  BOOST_TEST(*read("time = 20 ms").time == 20'000'000u);
  BOOST_TEST(*read("time=3s").time == 3'000'000'000u);
  BOOST_TEST(*read("time=60min").time == 3'600'000'000'000u);
  for (const char* const bad : {"time=999ns", "time=0", "time=61min", "time=3600001ms", "time=20m", "time=20MS",
                                "time=ms", "time=1.5s", "time=18446744073709551615s", "time"})
    BOOST_TEST(is_fault(bad), bad);
  BOOST_TEST(fault("time=0") ==
             "heddle: VARIABLE: bad value \"0\" for time (1us to 60min, with ns, us, ms, s, min, or in us)\n");
}

BOOST_AUTO_TEST_CASE(switches) {
  for (const char* const text : {"switch", "switch=1", "switch=on", "switch=yes", "switch=true"})
    BOOST_TEST(*read(text).is_on == 1u, text);
  for (const char* const text : {"switch=0", "switch=off", "switch=no", "switch=false"})
    BOOST_TEST(*read(text).is_on == 0u, text);
  for (const char* const bad : {"switch=", "switch=2", "switch=On", "switch=onn", "switch=o"})
    BOOST_TEST(is_fault(bad), bad);
  BOOST_TEST(fault("switch=2") == "heddle: VARIABLE: bad value \"2\" for switch (on or off)\n");
}

BOOST_AUTO_TEST_CASE(words) {
  BOOST_TEST(*read("mode=slow").mode == 0u);
  BOOST_TEST(*read("mode=fast").mode == 1u);
  BOOST_TEST(*read("mode=fastest").mode == 2u);
  for (const char* const bad : {"mode", "mode=", "mode=fas", "mode=Fast", "mode=slow|fast", "mode=fastestt"})
    BOOST_TEST(is_fault(bad), bad);
  BOOST_TEST(fault("mode=Fast") == "heddle: VARIABLE: bad value \"Fast\" for mode (slow|fast|fastest)\n");
}

BOOST_AUTO_TEST_CASE(texts) {
  BOOST_TEST(read("path=a").path == "a");
  BOOST_TEST(read("path= a=b ,").path == "a=b");
  BOOST_TEST(read("path=12345").path == "12345");
  for (const char* const bad : {"path", "path=", "path= ", "path=123456"}) BOOST_TEST(is_fault(bad), bad);
}

BOOST_AUTO_TEST_CASE(lists) {
  const subject all = read(" count = 3 ,, size=1K,switch,\tmode = fast\n,");
  BOOST_TEST((*all.count == 3u && *all.size == 1024u && *all.is_on == 1u && *all.mode == 1u));
  BOOST_TEST(all.times == 4);
  BOOST_TEST(read("").times == 0);
  BOOST_TEST(read(" , ,").times == 0);
  BOOST_TEST(*read("count=3,count=4").count == 4u);  // the last one holds
  BOOST_TEST(*read("size_in_code=7").size == 7u);
}

BOOST_AUTO_TEST_CASE(unknown_names_are_said_with_those_that_there_are) {
  BOOST_TEST(fault("counts=3") ==
             "heddle: VARIABLE: unknown key \"counts\" (known: count, size_in_code, time, "
             "switch, mode, path, help)\n");
  for (const char* const bad : {"coun=3", "=3", "Count=3", "count =3 size=4", "help=1"}) BOOST_TEST(is_fault(bad), bad);
}

BOOST_AUTO_TEST_CASE(a_fault_hinders_no_other_option) {
  const auto end = death_of([] {
    subject s;
    const unsigned n = heddle::detail::read_option_list("VARIABLE", "count=1,size=8,time=x,switch", table, s);
    ::_exit(n == 2 && !s.count && *s.size == 8 && !s.time && *s.is_on == 1 ? 0 : 1);
  });
  BOOST_TEST(end.status == 0);
  BOOST_TEST(end.says("\"1\" for count"));
  BOOST_TEST(end.says("\"x\" for time"));
}

BOOST_AUTO_TEST_CASE(help_lists_all_and_is_no_fault) {
  const auto end = death_of([] {
    subject s;
    ::_exit(heddle::detail::read_option_list("VARIABLE", "help,count=3", table, s) == 0 && *s.count == 3 ? 0 : 1);
  });
  BOOST_TEST(end.status == 0);
  for (const char* const line :
       {"heddle: VARIABLE: options, NAME=VALUE", "  count: things\n      2 to 99; default 7\n",
        "  size_in_code (or size): bytes\n", "      on or off\n", "      slow|fast|fastest\n", "at most 5 characters"})
    BOOST_TEST(end.says(line), end.text);
}

BOOST_AUTO_TEST_CASE(long_texts_are_said_in_part) {
  const std::string said = fault(std::string(10'000, 'x') + "=1");
  BOOST_TEST(said.size() < 400u);
  BOOST_TEST(said.find("unknown key \"xxx") != said.npos);
}

BOOST_AUTO_TEST_SUITE_END()
