// SPDX-License-Identifier: BSL-1.0
#include "gc/memory/boehm.hpp"

#include "gc/live/live.hpp"

int main(int argc, char** argv) { return perf::gc::live<perf::gc::boehm_memory>(argc, argv); }
