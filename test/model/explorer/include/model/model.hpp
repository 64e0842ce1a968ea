// SPDX-License-Identifier: BSL-1.0
//
// The explorer: runs a small concurrent program again and again under schedules, memory orders and
// timeouts of its own choosing, and says how to reproduce the one that failed.
//
//   model::result r = model::explore({.executions = 10'000}, [] {
//     platform::atomic<int> x{0};
//     platform::thread t(...);          // model threads; the body itself is thread 0, "main"
//     t.join();
//     model::check(x.load() == 1, "x was lost");
//   });
//
// The body must make everything it uses and join what it started. It runs in a child process, so a
// crash, an abort or a hang is a failure like any other, and nothing leaks into the next
// exploration.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "heddle/detail/platform.hpp"
#include "model/plants.hpp"

namespace model {

enum class strategy : std::uint8_t {
  random,      ///< at each point another thread with a probability drawn anew for each execution
  pct,         ///< random priorities and depth-1 change points (Burckhardt et al., ASPLOS 2010)
  mixed,       ///< random and pct in turns
  exhaustive,  ///< depth-first over everything within the bounds below
};

struct options {
  enum strategy strategy = strategy::mixed;
  std::uint64_t executions = 10'000;  ///< at most; multiplied by HEDDLE_MODEL_SCALE
  std::uint64_t seed = 1;
  unsigned depth = 3;            ///< pct: the number of ordering constraints a bug may have
  unsigned preemptions = 2;      ///< exhaustive: switches away from a thread that could go on
  unsigned max_steps = 20'000;   ///< more scheduling points than this are a livelock
  bool weak_memory = true;       ///< false: every read sees the newest value
  unsigned stale_reads = 2;      ///< exhaustive: reads of an older value in one execution (others: no bound)
  unsigned weak_failures = 2;    ///< compare_exchange_weak failing for no reason, per execution
  unsigned spurious_wakes = 2;   ///< futex waits that return for no reason, per execution
  unsigned early_timeouts = 0;   ///< deadlines reached while others still run, per execution
  unsigned thread_failures = 0;  ///< thread starts that throw, per execution
  unsigned late_stores = 0;      ///< stores ordered before another thread's newer one, per execution
  plant planted = plant::none;   ///< the bug to plant in the product
  bool warm_up = false;          ///< one plain execution before all others: fills the pools that outlive it
  bool isolate = true;           ///< run in a child process
  bool same_again = true;        ///< a seed leads to its bug again; false: the bug uses memory after its end
};

struct result {
  bool failed = false;
  bool complete = false;         ///< exhaustive: nothing is left to try within the bounds
  std::uint64_t executions = 0;  ///< run, the failing one included
  std::uint64_t steps = 0;       ///< scheduling points passed
  double seconds = 0;
  std::string message;  ///< what was wrong
  std::string seed;     ///< `HEDDLE_MODEL=...`: in the environment it reproduces the failing execution
  std::string trace;    ///< the last operations before the failure, and what the program wrote to stderr
};

namespace detail {
using body = void (*)(void*);
result explore(const options& o, body f, void* context);
result replay(const options& o, const std::string& seed, body f, void* context);
}  // namespace detail

/// Explores f as `o` says. `HEDDLE_MODEL` in the environment overrides the strategy and runs one
/// execution.
template <class F>
result explore(const options& o, F f) {
  return detail::explore(
      o, [](void* p) { (*static_cast<F*>(p))(); }, &f);
}

/// Runs the one execution that `seed` (from result::seed) names.
template <class F>
result replay(const options& o, const std::string& seed, F f) {
  return detail::replay(
      o, seed, [](void* p) { (*static_cast<F*>(p))(); }, &f);
}

/// Ends the execution as failed unless `condition` holds.
void check(bool condition, const char* text) noexcept;
[[noreturn]] void fail(const char* text) noexcept;

/// The thread that runs, for use in tests: 0 is the body.
unsigned current_thread() noexcept;

}  // namespace model
