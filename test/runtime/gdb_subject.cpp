// SPDX-License-Identifier: BSL-1.0
//
// Fibers that wait, for test/runtime/gdb_test to look at.
#include <cstdio>
#include <cstdlib>

#include "heddle/heddle.hpp"

/// Waits a few frames deep, where the debugger finds it.
[[gnu::noinline]] int waits_for_the_shuttle(heddle::channel<int>& shuttle) {
  const int got = shuttle.receive().value_or(7);
  std::printf("%d\n", got);
  return got;
}
[[gnu::noinline]] int calls_one_that_waits(heddle::channel<int>& shuttle) { return waits_for_the_shuttle(shuttle) + 1; }

/// Where the debugger stops: all others wait.
extern "C" [[gnu::noinline]] void stop_here() { asm volatile("" ::: "memory"); }

int main(int argc, char**) {
  heddle::run(
      [argc] {
        heddle::channel<int> shuttle;
        auto warp = heddle::spawn(heddle::fiber_options{.name = "warp"}, [&] { return calls_one_that_waits(shuttle); });
        auto weft = heddle::spawn(heddle::fiber_options{.name = "weft"}, [&] { return calls_one_that_waits(shuttle); });
        heddle::this_fiber::yield();
        heddle::this_fiber::yield();
        heddle::go({.name = "fresh"}, [] {});
        stop_here();
        if (argc > 1) std::abort();  // for a core
        shuttle.close();
        return warp.join() + weft.join() - 16;
      },
      {.procs = 1});
}
