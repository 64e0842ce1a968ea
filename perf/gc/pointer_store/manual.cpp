// SPDX-License-Identifier: BSL-1.0
#include "gc/memory/manual.hpp"

#include "gc/pointer_store/pointer_store.hpp"

int main(int argc, char** argv) { return perf::gc::pointer_store<perf::gc::manual_memory>(argc, argv); }
