// SPDX-License-Identifier: BSL-1.0
#include "gc/memory/intrusive_ptr.hpp"

#include "gc/binary_trees/binary_trees.hpp"

int main(int argc, char** argv) { return perf::gc::binary_trees<perf::gc::intrusive_memory>(argc, argv); }
