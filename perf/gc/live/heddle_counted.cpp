// SPDX-License-Identifier: BSL-1.0
#include "gc/memory/heddle_counted.hpp"

#include "gc/live/live.hpp"

int main(int argc, char** argv) { return perf::gc::live<perf::gc::heddle_counted_memory>(argc, argv); }
