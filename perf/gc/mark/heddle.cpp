// SPDX-License-Identifier: BSL-1.0
#include "gc/memory/heddle.hpp"

#include "gc/mark/mark.hpp"

int main(int argc, char** argv) { return perf::gc::mark<perf::gc::heddle_memory>(argc, argv); }
