// SPDX-License-Identifier: BSL-1.0
#include "gc/memory/intrusive_ptr.hpp"

#include "gc/json_tree/json_tree.hpp"

int main(int argc, char** argv) { return perf::gc::json_tree<perf::gc::intrusive_memory>(argc, argv); }
