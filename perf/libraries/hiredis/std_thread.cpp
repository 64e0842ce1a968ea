// SPDX-License-Identifier: BSL-1.0
#include "libraries/hiredis/hiredis.hpp"
#include "libraries/threads.hpp"

int main(int argc, char** argv) { perf::libraries::ask_by_threads<perf::libraries::hiredis>(argc, argv); }
