// SPDX-License-Identifier: BSL-1.0
#include "gc/memory/intrusive_ptr.hpp"

#include "gc/live/live.hpp"

int main(int argc, char** argv) { return perf::gc::live<perf::gc::intrusive_memory>(argc, argv); }
