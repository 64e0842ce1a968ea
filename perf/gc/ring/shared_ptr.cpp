// SPDX-License-Identifier: BSL-1.0
#include "gc/memory/shared_ptr.hpp"

#include "gc/ring/ring.hpp"

int main(int argc, char** argv) { return perf::gc::ring<perf::gc::counted_memory>(argc, argv); }
