// SPDX-License-Identifier: BSL-1.0
#include "gc/memory/boehm.hpp"

#include "gc/allocation/allocation.hpp"

int main(int argc, char** argv) { return perf::gc::allocation<perf::gc::boehm_memory>(argc, argv); }
