// SPDX-License-Identifier: BSL-1.0
#include "gc/memory/shared_ptr.hpp"

#include "gc/lru_cache/lru_cache.hpp"

int main(int argc, char** argv) { return perf::gc::lru<perf::gc::counted_memory>(argc, argv); }
