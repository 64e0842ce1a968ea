// SPDX-License-Identifier: BSL-1.0
#include "gc/memory/manual.hpp"

#include "gc/allocation/allocation.hpp"

int main(int argc, char** argv) { return perf::gc::allocation<perf::gc::manual_memory>(argc, argv); }
