// SPDX-License-Identifier: BSL-1.0
#include "json_tree.hpp"

#include <boost/test/unit_test.hpp>
#include <stdexcept>
#include <string>

#include "gc/dying.hpp"

namespace {

namespace gc = heddle::gc;
using examples::json;
using examples::parse_json;
using heddle::testing::collect_until;
using heddle::testing::far_below;
using heddle::testing::has_died;

constexpr const char* document =
    R"({"users": [{"name": "ada", "age": 36.5}, {"name": "a\nb\"", "admin": true}], "none": null, "empty": []})";

}  // namespace

BOOST_FIXTURE_TEST_SUITE(json_tree, heddle::testing::collected_check)

BOOST_AUTO_TEST_CASE(is_read_with_its_parents) {
  const gc::string text = document;
  const gc::ptr<json> d = parse_json(text);
  const gc::ptr<json> users = d->at("users");
  BOOST_TEST((users->is == json::kind::array && users->children.size() == 2 && users->parent == d));
  const gc::ptr<json> ada = users->at(0)->at("name");
  BOOST_TEST((ada->text == "ada" && ada->path() == "/users/0/name"));
  BOOST_TEST((ada->text.data() == text.data() + text.view().find("ada")));  // not a copy
  BOOST_TEST((users->at(0)->at("age")->number == 36.5 && users->at(1)->at("name")->text == "a\nb\""));
  BOOST_TEST((users->at(1)->at("admin")->number == 1 && d->at("none")->is == json::kind::null));
  BOOST_TEST((d->at("empty")->children.empty() && d->at("other") == nullptr && users->at(2) == nullptr));
}

BOOST_AUTO_TEST_CASE(what_is_wrong_is_refused) {
  for (const char* wrong : {"", "[1", "{\"a\" 1}", "[1,]", "\"x", "tru", "1 2", "{1:2}", "\"\\x\""})
    BOOST_CHECK_THROW(parse_json(wrong), std::invalid_argument);
}

BOOST_AUTO_TEST_CASE(a_value_keeps_what_it_is_in_until_it_is_detached) {
  gc::ptr<json> ada;
  gc::weak<json> whole, other;
  far_below([&] {
    const gc::ptr<json> d = parse_json(document);
    ada = d->at("users")->at(0);
    whole = d;
    other = d->at("users")->at(1);
  });
  gc::collect();
  BOOST_TEST(!has_died(whole));
  far_below([&] {
    BOOST_TEST((ada->parent->parent->at("users")->children.size() == 2));
    ada->detach();
  });
  BOOST_TEST(collect_until([&] { return has_died(whole) && has_died(other); }));
  BOOST_TEST((ada->at("name")->text == "ada" && ada->path().empty()));
}

BOOST_AUTO_TEST_SUITE_END()
