// SPDX-License-Identifier: BSL-1.0
#include <heddle/heddle.hpp>
#include <memory>

#include "common/bench.hpp"
#include "common/heddle_options.hpp"

// What a stack that grows costs: the same code here is compiled for one that grows and for one that does not.
namespace {

struct tree {
  std::unique_ptr<tree> left, right;
  std::uint64_t value;
};
std::unique_ptr<tree> make_tree(unsigned depth) {
  if (depth == 0) return nullptr;
  return std::make_unique<tree>(tree{make_tree(depth - 1), make_tree(depth - 1), depth});
}
[[gnu::noinline]] std::uint64_t sum(const tree* t) {
  return t == nullptr ? 0 : sum(t->left.get()) + sum(t->right.get()) + t->value;
}

[[gnu::noinline]] std::uint64_t fibonacci(unsigned n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }

/// A frame of some 100 bytes, `n` deep.
[[gnu::noinline]] std::uint64_t down(std::uint64_t n) {
  volatile std::uint64_t frame[8];
  frame[n % 8] = n;
  asm volatile("" ::: "memory");
  return n == 0 ? 0 : down(n - 1) + (frame[n % 8] == n ? 1 : 0);
}

/// A frame that does not fit into what a fiber begins with.
[[gnu::noinline]] std::uint64_t large(std::uint64_t n) {
  volatile std::uint64_t frame[256];
  frame[n % 256] = n;
  return frame[n % 256];
}

[[gnu::noinline]] std::uint64_t call_large(std::uint64_t times) {
  std::uint64_t total = 0;
  for (std::uint64_t i = 0; i != times; ++i) total += large(i);
  return total;
}

/// Nanoseconds that f() takes in a fiber of its own, and what it returns. Nothing else is called there: functions that
/// call other code begin with a larger segment.
template <class F>
double in_fiber(F f, std::uint64_t& result) {
  double ns = 0;
  bool done = false;
  heddle::go({.stack_size = perf::deep_stack}, [&] {
    const double begin = perf::now();
    result = f();
    ns = perf::now() - begin;
    done = true;
  });
  while (!done) heddle::this_fiber::yield();
  return ns;
}

}  // namespace

int main(int argc, char** argv) {
  const perf::arguments args(argc, argv, {{"depth", 10'000}, {"fibonacci", 25}, {"tree", 16}});
  perf::report report;
  heddle::run(
      [&] {
        const std::uint64_t depth = args["depth"];
        const auto n = static_cast<unsigned>(args["fibonacci"]);
        const std::unique_ptr<tree> root = make_tree(static_cast<unsigned>(args["tree"]));
        const std::uint64_t nodes = (std::uint64_t{1} << args["tree"]) - 1;
        const auto each = [&](const char* name, std::uint64_t steps, std::uint64_t expected, auto f) {
          const double ns = perf::measure(args, [&](std::uint64_t rounds) {
            std::uint64_t result = 0;
            const double elapsed = in_fiber(
                [&] {
                  std::uint64_t last = 0;
                  for (std::uint64_t i = 0; i != rounds; ++i) last = f();
                  return last;
                },
                result);
            perf::require(result == expected, "the result is wrong");
            return elapsed;
          });
          report.add(name, ns / static_cast<double>(steps));
        };
        constexpr std::uint64_t calls = 1'000;
        each("down_ns", depth, depth, [&] { return down(depth); });
        each("call_ns", calls, calls * (calls - 1) / 2, [] { return call_large(calls); });
        each("fibonacci_ns", 2 * fibonacci(n + 1) - 1, fibonacci(n), [&] { return fibonacci(n); });
        each("tree_ns", nodes, sum(root.get()), [&] { return sum(root.get()); });
      },
      perf::heddle_options(args));
  report.print();
}
