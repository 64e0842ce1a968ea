// SPDX-License-Identifier: BSL-1.0
#include "gc/memory/heddle_counted.hpp"

#include "gc/lru_cache/lru_cache.hpp"

int main(int argc, char** argv) { return perf::gc::lru<perf::gc::heddle_counted_memory>(argc, argv); }
