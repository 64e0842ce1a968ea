// SPDX-License-Identifier: BSL-1.0
#include "libraries/fibers.hpp"
#include "libraries/libpq/libpq.hpp"

int main(int argc, char** argv) { perf::libraries::ask_by_fibers<perf::libraries::libpq>(argc, argv); }
