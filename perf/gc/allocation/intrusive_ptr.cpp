// SPDX-License-Identifier: BSL-1.0
#include "gc/memory/intrusive_ptr.hpp"

#include "gc/allocation/allocation.hpp"

int main(int argc, char** argv) { return perf::gc::allocation<perf::gc::intrusive_memory>(argc, argv); }
