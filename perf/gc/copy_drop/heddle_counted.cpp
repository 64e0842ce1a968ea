// SPDX-License-Identifier: BSL-1.0
#include "gc/memory/heddle_counted.hpp"

#include "gc/copy_drop/copy_drop.hpp"

int main(int argc, char** argv) { return perf::gc::copy_drop<perf::gc::heddle_counted_memory>(argc, argv); }
