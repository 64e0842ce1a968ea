// SPDX-License-Identifier: BSL-1.0
#include "gc/memory/heddle.hpp"

#include "gc/ring/ring.hpp"

int main(int argc, char** argv) { return perf::gc::ring<perf::gc::heddle_memory>(argc, argv); }
