// SPDX-License-Identifier: BSL-1.0
//
// The promises of every queue of keys that has the interface of examples::work_queue: asked of that one, and of the one
// on Redis that may take its place. Queues are empty at first, and of std::string.
#pragma once

#include <boost/test/unit_test.hpp>
#include <string>
#include <utility>
#include <vector>

namespace queue_promises {

using keys = std::vector<std::string>;

/// All keys that wait, in their order; each is done at once.
template <class Queue>
keys drain(Queue& q) {
  keys all;
  while (q.size() != 0) all.push_back(*q.get());
  return all;
}

template <class Queue>
void first_come_first_served_and_each_once(Queue& q) {
  for (const char* k : {"c", "a", "c", "b", "a"}) BOOST_TEST(q.add(k));
  BOOST_TEST(q.size() == 3U);
  BOOST_TEST(drain(q) == (keys{"c", "a", "b"}), boost::test_tools::per_element());
}

template <class Queue>
void added_while_processed_waits_again_once_when_done(Queue& q) {
  q.add("a");
  auto item = q.get();
  q.add("b");
  for (int i = 0; i < 3; ++i) q.add("a");
  BOOST_TEST(q.size() == 1U);  // only b
  item.done();
  BOOST_TEST(drain(q) == (keys{"b", "a"}), boost::test_tools::per_element());
}

template <class Queue>
void a_key_that_is_done_may_come_again(Queue& q) {
  for (int i = 0; i < 3; ++i) {
    q.add("a");
    BOOST_TEST(drain(q) == keys{"a"}, boost::test_tools::per_element());
  }
}

template <class Queue>
void an_item_moves_with_its_right(Queue& q) {
  q.add("a");
  q.add("b");
  auto first = q.get();
  auto second = std::move(first);
  BOOST_TEST(!first);
  BOOST_TEST(second->size() == 1U);
  q.add("a");
  second = q.get();  // so a is done
  BOOST_TEST(*second == "b");
  BOOST_TEST(q.size() == 1U);
  second = q.get(std::move(second));
  BOOST_TEST(*second == "a");
}

template <class Queue>
void shut_down_hands_out_the_rest_and_then_nothing(Queue& q) {
  q.add("a");
  q.shut_down();
  BOOST_TEST(q.shutting_down());
  BOOST_TEST(!q.add("b"));
  BOOST_TEST(*q.get() == "a");
  BOOST_TEST(!q.get());
}

}  // namespace queue_promises
