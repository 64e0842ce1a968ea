// SPDX-License-Identifier: BSL-1.0
#include "gc/memory/boehm.hpp"

#include "gc/gcbench/gcbench.hpp"

int main(int argc, char** argv) { return perf::gc::gcbench<perf::gc::boehm_memory>(argc, argv); }
