// SPDX-License-Identifier: BSL-1.0
#include "common/boost_fibers.hpp"

#include "common/bench.hpp"
#include "common/fibonacci.hpp"

// One of the two calls is a fiber of its own, all the way down.
static std::uint64_t fib(std::uint64_t n) {
  if (n < 2) return n;
  std::uint64_t left = 0;
  boost::fibers::fiber child([&left, n] { left = fib(n - 1); });
  const std::uint64_t right = fib(n - 2);
  child.join();
  return left + right;
}

static double timed_fib(std::uint64_t n) {
  std::uint64_t result = 0;
  const double elapsed = perf::timed([&] { result = fib(n); });
  perf::require(result == perf::fibonacci(n), "the number is wrong");
  return elapsed / static_cast<double>(perf::fibonacci_spawns(n));
}

int main(int argc, char** argv) {
  const perf::arguments args(argc, argv, {{"n", 27}, {"most", 23}});
  const std::uint64_t n = std::min(args["n"], args["most"]);
  perf::report report;
  perf::run_boost_fibers(args.procs(), [&] {
    timed_fib(n - 7);  // warm up
    report.add("spawn_ns", timed_fib(n));
  });
  if (n < args["n"])
    report.note("spawn_ns", "fib(" + std::to_string(n) + ") instead of fib(" + std::to_string(args["n"]) + ")");
  report.print();
}
