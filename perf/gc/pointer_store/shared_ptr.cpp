// SPDX-License-Identifier: BSL-1.0
#include "gc/memory/shared_ptr.hpp"

#include "gc/pointer_store/pointer_store.hpp"

int main(int argc, char** argv) { return perf::gc::pointer_store<perf::gc::counted_memory>(argc, argv); }
