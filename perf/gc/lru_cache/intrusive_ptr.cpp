// SPDX-License-Identifier: BSL-1.0
#include "gc/memory/intrusive_ptr.hpp"

#include "gc/lru_cache/lru_cache.hpp"

int main(int argc, char** argv) { return perf::gc::lru<perf::gc::intrusive_memory>(argc, argv); }
