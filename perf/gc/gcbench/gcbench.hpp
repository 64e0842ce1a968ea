// SPDX-License-Identifier: BSL-1.0
//
// GCBench (J. Ellis, P. Kovac, H. Boehm): trees built from the top, by stores into objects that exist, and from the
// bottom, beside a tree and an array of numbers that stay.
#pragma once

#include "common/bench.hpp"

namespace perf::gc {

template <class M>
struct bench_node {
  typename M::template link<bench_node> left, right;
  int i = 0, j = 0;
};

/// Builds a tree below a node, from the top.
template <class M>
void populate(unsigned depth, bench_node<M>* node) {
  if (depth == 0) return;
  node->left = M::template make<bench_node<M>>();
  node->right = M::template make<bench_node<M>>();
  populate<M>(depth - 1, M::at(node->left));
  populate<M>(depth - 1, M::at(node->right));
}

template <class M>
typename M::template hold<bench_node<M>> make_tree(unsigned depth) {
  if (depth == 0) return M::template make<bench_node<M>>();
  auto left = make_tree<M>(depth - 1);
  auto right = make_tree<M>(depth - 1);
  return M::template make<bench_node<M>>(std::move(left), std::move(right));
}

template <class M>
void free_tree(bench_node<M>* node) {
  if constexpr (M::by_hand) {
    if (node == nullptr) return;
    free_tree<M>(node->left);
    free_tree<M>(node->right);
    M::release(node);
  }
}

template <class M>
std::uint64_t size_of(const bench_node<M>* node) {
  return node == nullptr ? 0 : 1 + size_of<M>(M::at(node->left)) + size_of<M>(M::at(node->right));
}

inline std::uint64_t tree_size(unsigned depth) { return (std::uint64_t{2} << depth) - 1; }

template <class M>
void construct(unsigned depth, unsigned stretch) {
  const std::uint64_t rounds = 2 * tree_size(stretch) / tree_size(depth);
  for (std::uint64_t i = 0; i < rounds; ++i) {
    auto root = M::template make<bench_node<M>>();
    populate<M>(depth, M::at(root));
    free_tree<M>(M::at(root));
  }
  for (std::uint64_t i = 0; i < rounds; ++i) {
    auto root = make_tree<M>(depth);
    free_tree<M>(M::at(root));
  }
}

template <class M>
void bench(unsigned stretch) {
  constexpr std::size_t array_size = 500'000;
  {
    auto tree = make_tree<M>(stretch);
    free_tree<M>(M::at(tree));
  }
  auto long_lived = M::template make<bench_node<M>>();
  populate<M>(stretch - 2, M::at(long_lived));
  auto array = M::template make_array<double>(array_size);
  for (std::size_t i = 1; i < array_size / 2; ++i) array[i] = 1.0 / static_cast<double>(i);
  for (unsigned depth = 4; depth <= stretch - 2; depth += 2) construct<M>(depth, stretch);
  require(size_of<M>(M::at(long_lived)) == tree_size(stretch - 2), "the tree that stays has lost a node");
  require(array[1'000] == 1.0 / 1'000, "the array that stays has lost a number");
  free_tree<M>(M::at(long_lived));
  M::release_array(array);
}

template <class M>
int gcbench(int argc, char** argv) {
  const arguments args(argc, argv, {{"stretch", 18}});
  report report;
  M::run(args, [&] { report.add("wall_ms", timed([&] { bench<M>(static_cast<unsigned>(args["stretch"])); }) / 1e6); });
  report.print();
  return 0;
}

}  // namespace perf::gc
