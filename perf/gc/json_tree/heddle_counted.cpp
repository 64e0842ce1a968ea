// SPDX-License-Identifier: BSL-1.0
#include "gc/memory/heddle_counted.hpp"

#include "gc/json_tree/json_tree.hpp"

int main(int argc, char** argv) { return perf::gc::json_tree<perf::gc::heddle_counted_memory>(argc, argv); }
