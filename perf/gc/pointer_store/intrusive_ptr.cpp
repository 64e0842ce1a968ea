// SPDX-License-Identifier: BSL-1.0
#include "gc/memory/intrusive_ptr.hpp"

#include "gc/pointer_store/pointer_store.hpp"

int main(int argc, char** argv) { return perf::gc::pointer_store<perf::gc::intrusive_memory>(argc, argv); }
