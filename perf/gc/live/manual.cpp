// SPDX-License-Identifier: BSL-1.0
#include "gc/memory/manual.hpp"

#include "gc/live/live.hpp"

int main(int argc, char** argv) { return perf::gc::live<perf::gc::manual_memory>(argc, argv); }
