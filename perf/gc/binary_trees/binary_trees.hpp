// SPDX-License-Identifier: BSL-1.0
//
// Many short-lived trees beside one that stays, after Boehm's GCBench; in the shape of the Benchmarks Game. The trees
// of one depth are shared out among the workers.
#pragma once

#include <algorithm>
#include <atomic>

#include "common/bench.hpp"

namespace perf::gc {

template <class M>
struct tree {
  typename M::template link<tree> left, right;
};

template <class M>
typename M::template hold<tree<M>> bottom_up(unsigned depth) {
  if (depth == 0) return M::template make<tree<M>>();
  auto left = bottom_up<M>(depth - 1);
  auto right = bottom_up<M>(depth - 1);
  return M::template make<tree<M>>(std::move(left), std::move(right));
}

template <class M>
std::uint64_t count(const tree<M>* node) {
  if (M::at(node->left) == nullptr) return 1;
  return 1 + count<M>(M::at(node->left)) + count<M>(M::at(node->right));
}

template <class M>
void tear_down(tree<M>* node) {
  if constexpr (M::by_hand) {
    if (node->left != nullptr) {
      tear_down<M>(node->left);
      tear_down<M>(node->right);
    }
    M::release(node);
  }
}

inline std::uint64_t nodes(unsigned depth) { return (std::uint64_t{2} << depth) - 1; }

/// Makes a tree, counts its nodes and lets go of it.
template <class M>
std::uint64_t one_tree(unsigned depth) {
  auto root = bottom_up<M>(depth);
  const std::uint64_t counted = count<M>(M::at(root));
  tear_down<M>(M::at(root));
  return counted;
}

template <class M>
void all_trees_of(unsigned depth, unsigned deepest, unsigned workers) {
  const std::uint64_t trees = std::uint64_t{1} << (deepest - depth + 4);
  std::atomic<std::uint64_t> counted{0};
  M::on_workers(workers, [&](unsigned worker) {
    std::uint64_t mine = 0;
    for (std::uint64_t i = worker; i < trees; i += workers) mine += one_tree<M>(depth);
    counted += mine;
  });
  require(counted == trees * nodes(depth), "a tree has lost a node");
}

template <class M>
int binary_trees(int argc, char** argv) {
  const arguments args(argc, argv, {{"depth", 18}});
  const auto deepest = static_cast<unsigned>(args["depth"]);
  report report;
  M::run(args, [&] {
    const double ns = timed([&] {
      require(one_tree<M>(deepest + 1) == nodes(deepest + 1), "the stretch tree has lost a node");
      auto long_lived = bottom_up<M>(deepest);
      for (unsigned depth = 4; depth <= deepest; depth += 2) all_trees_of<M>(depth, deepest, args.procs());
      require(count<M>(M::at(long_lived)) == nodes(deepest), "the tree that stays has lost a node");
      tear_down<M>(M::at(long_lived));
    });
    report.add("wall_ms", ns / 1e6);
  });
  report.print();
  return 0;
}

}  // namespace perf::gc
