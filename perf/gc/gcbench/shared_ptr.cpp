// SPDX-License-Identifier: BSL-1.0
#include "gc/memory/shared_ptr.hpp"

#include "gc/gcbench/gcbench.hpp"

int main(int argc, char** argv) { return perf::gc::gcbench<perf::gc::counted_memory>(argc, argv); }
