// SPDX-License-Identifier: BSL-1.0
#include "libraries/libpq/libpq.hpp"
#include "libraries/threads.hpp"

int main(int argc, char** argv) { perf::libraries::ask_by_threads<perf::libraries::libpq>(argc, argv); }
