// SPDX-License-Identifier: BSL-1.0
#include "gc/memory/heddle_counted.hpp"

#include "gc/binary_trees/binary_trees.hpp"

int main(int argc, char** argv) { return perf::gc::binary_trees<perf::gc::heddle_counted_memory>(argc, argv); }
