// SPDX-License-Identifier: BSL-1.0
#include "heddle/gc/string.hpp"

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <functional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "dying.hpp"
#include "heddle/gc.hpp"

namespace {

namespace gc = heddle::gc;
using heddle::testing::collect_until;
using heddle::testing::far_below;
using namespace std::string_view_literals;

constinit gc::string global;

/// The collector may have taken the text of a dead object's member.
struct looks_back {
  ~looks_back() { seen = std::string(name.view()).size() + name.size() + (name == "x"), done = true; }
  gc::string name;
  static inline std::atomic<std::size_t> seen{0};
  static inline std::atomic<bool> done{false};
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(string, heddle::testing::collected_check)

BOOST_AUTO_TEST_CASE(is_made_compared_and_written) {
  const gc::string none, s = "text", same = std::string("text"), view = "text"sv;
  BOOST_TEST((none.empty() && none.size() == 0 && none == "" && none.view().data() == nullptr));
  BOOST_TEST((s == same && s == view && s == "text" && s == "text"sv && s == std::string("text") && "text" == s));
  BOOST_TEST((s != "tex" && s < "u" && "a" < s && s > none && (s <=> same) == 0));
  BOOST_TEST((s.size() == 4 && s[1] == 'e' && std::string(s.begin(), s.end()) == "text"));
  BOOST_TEST(std::hash<gc::string>()(s) == std::hash<std::string_view>()("text"));
  std::ostringstream out;
  out << s << none;
  BOOST_TEST(out.str() == "text");
  BOOST_TEST((gc::string("a\0b"sv).size() == 3 && gc::string("") == none));
}

BOOST_AUTO_TEST_CASE(parts_and_copies_share_the_text) {
  const gc::string whole = "/usr/include/heddle";
  const gc::string copy = whole, part = whole.substr(5, 7), rest = whole.substr(13);
  BOOST_TEST((copy.data() == whole.data() && part.data() == whole.data() + 5));
  BOOST_TEST((part == "include" && rest == "heddle" && whole.substr(19).empty()));
  BOOST_CHECK_THROW(whole.substr(20), std::out_of_range);
  BOOST_TEST((part.copy() == part && part.copy().data() != part.data()));
  gc::string moved = std::move(const_cast<gc::string&>(copy));
  BOOST_TEST((moved == whole && copy.empty()));
  gc::string& itself = moved;
  moved = std::move(itself);
  BOOST_TEST(moved == whole);
  const gc::string braces{whole};
  BOOST_TEST((braces.data() == whole.data()));
}

BOOST_AUTO_TEST_CASE(adds_up_to_new_texts) {
  gc::string s = "a";
  const gc::string before_it = s;
  s += "b";
  s += s;
  BOOST_TEST((s == "abab" && before_it == "a"));
  BOOST_TEST((s + "c" == "ababc" && "c" + s == "cabab" && s + s == "abababab" && s + std::string("d") == "ababd"));
  BOOST_TEST((gc::string::joined({"a", "", "bc"}) == "abc" && gc::string::joined({}).empty()));
}

BOOST_AUTO_TEST_CASE(a_part_keeps_the_whole_and_a_view_does_on_a_stack) {
  gc::string part;
  std::string_view view;
  far_below([&] {
    const gc::string whole = gc::string(std::string(10'000, 'x')) + "end";
    part = whole.substr(10'000);
    view = part.view();
    global = gc::string("of a ") + "global";
  });
  far_below([&] { part = {}; });
  gc::collect();
  far_below([] {
    for (int i = 0; i < 2000; ++i) gc::string(std::string(10'003, 'y'));
  });
  BOOST_TEST((view == "end" && view.data()[-1] == 'x'));
  BOOST_TEST(global == "of a global");
  global = {};
}

BOOST_AUTO_TEST_CASE(in_the_destructor_of_a_dead_object_it_is_whole_or_empty) {
  looks_back::done = false;
  looks_back::seen = 1;
  far_below([] { gc::make<looks_back>(gc::string("twelve bytes")); });
  BOOST_TEST(collect_until([] { return looks_back::done.load(); }));
  BOOST_TEST((looks_back::seen == 0 || looks_back::seen == 24));
}

BOOST_AUTO_TEST_SUITE_END()
