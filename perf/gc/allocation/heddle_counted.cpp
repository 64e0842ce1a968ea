// SPDX-License-Identifier: BSL-1.0
#include "gc/memory/heddle_counted.hpp"

#include "gc/allocation/allocation.hpp"

int main(int argc, char** argv) { return perf::gc::allocation<perf::gc::heddle_counted_memory>(argc, argv); }
