// SPDX-License-Identifier: BSL-1.0
#include "gc/memory/intrusive_ptr.hpp"

#include "gc/copy_drop/copy_drop.hpp"

int main(int argc, char** argv) { return perf::gc::copy_drop<perf::gc::intrusive_memory>(argc, argv); }
