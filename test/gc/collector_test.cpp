// SPDX-License-Identifier: BSL-1.0
#include <boost/test/unit_test.hpp>
#include <thread>

#include "barrier/mutators.hpp"
#include "cycle/collector.hpp"

using namespace heddle::gc::detail;

namespace {

struct node {
  node* left;
  node* right;
  std::uint64_t value;
};
constexpr std::uint32_t node_slots[] = {0, 8};
constexpr type_description node_type{"node", sizeof(node), 8, scanning::precise, 2, node_slots, nullptr};
type_handle node_handle{&node_type};

node* make_tree(int depth) {
  auto* const n = static_cast<node*>(allocate(node_handle));
  n->value = static_cast<std::uint64_t>(depth);
  if (depth == 0) return n;
  root_cell keep;
  keep.address = n;
  add_root(keep);
  store(reinterpret_cast<void**>(&n->left), make_tree(depth - 1));
  store(reinterpret_cast<void**>(&n->right), make_tree(depth - 1));
  remove_root(keep);
  return n;
}
std::size_t count(const node* n, int depth) {
  if (n == nullptr) return 0;
  if (n->value != static_cast<std::uint64_t>(depth)) return 1u << 30;
  return 1 + count(n->left, depth - 1) + count(n->right, depth - 1);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(a_collector)

BOOST_AUTO_TEST_CASE(keeps_what_is_reached_and_nothing_else) {
  root_cell r;
  add_root(r);
  std::thread([&] { r.address = make_tree(12); }).join();  // on a stack that is gone afterwards
  for (int i = 0; i != 5; ++i) {
    the_collector.collect();
    std::thread([&] { BOOST_TEST(count(static_cast<node*>(r.address), 12) == (2u << 12) - 1); }).join();
    BOOST_TEST(the_collector.last().marked >= (2u << 12) - 1);
  }
  // A word somewhere in the C library may still look like the address of one of them, or of two.
  for (int i = 0; i != 20; ++i) std::thread([&] { r.address = make_tree(12); }).join();
  r.address = nullptr;
  the_collector.collect();
  BOOST_TEST(the_collector.last().marked < 4 * ((2u << 12) - 1));
  BOOST_TEST(the_collector.last().live < 4 * 32 * (2u << 12));
  remove_root(r);
}

BOOST_AUTO_TEST_SUITE_END()
