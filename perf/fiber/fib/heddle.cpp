// SPDX-License-Identifier: BSL-1.0
#include <heddle/heddle.hpp>

#include "common/bench.hpp"
#include "common/fibonacci.hpp"

// One of the two calls is a fiber of its own, all the way down.
static std::uint64_t fib(std::uint64_t n) {
  if (n < 2) return n;
  auto left = heddle::spawn(fib, n - 1);
  const std::uint64_t right = fib(n - 2);
  return left.join() + right;
}

static double timed_fib(std::uint64_t n) {
  std::uint64_t result = 0;
  const double elapsed = perf::timed([&] { result = fib(n); });
  perf::require(result == perf::fibonacci(n), "the number is wrong");
  return elapsed / static_cast<double>(perf::fibonacci_spawns(n));
}

int main(int argc, char** argv) {
  const perf::arguments args(argc, argv, {{"n", 27}});
  perf::report report;
  heddle::run(
      [&] {
        timed_fib(args["n"] - 7);  // warm up
        report.add("spawn_ns", timed_fib(args["n"]));
      },
      {.procs = args.procs()});
  report.print();
}
