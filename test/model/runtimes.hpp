// SPDX-License-Identifier: BSL-1.0
//
// Shared by the tests of whole runtimes.
#pragma once

#include <boost/test/unit_test.hpp>

#include "heddle/detail/wait.hpp"
#include "heddle/fiber.hpp"
#include "heddle/run.hpp"
#include "model/expect.hpp"
#include "openings.hpp"

namespace runtimes {

inline constexpr model::options by_chance{
    .executions = 1500, .max_steps = 50'000, .early_timeouts = 3, .warm_up = true};

/// The same, that often.
inline model::options by_chance_times(std::uint64_t executions) {
  model::options o = by_chance;
  o.executions = executions;
  return o;
}

inline heddle::options with(unsigned procs, bool monitor) {
  heddle::options o;
  o.procs = procs;
  o.monitor = monitor;
  o.stack_size = 32 << 10;
  return o;
}

using openings::warm_up;

inline void nothing_left() {
  const heddle::statistics s = heddle::stats();
  model::check(s.fibers == 0 && s.machines == 0, "something is left of the runtime");
}

template <class F>
auto in_runtime(unsigned procs, bool monitor, F f) {
  return [=] {
    heddle::run(f, with(procs, monitor));
    nothing_left();
  };
}

// --- what main does as a fiber ------------------------------------------------------------------------------------

inline void joins() {
  auto a = heddle::spawn([] { return 20; });
  auto b = heddle::spawn([] { return 22; });
  model::check(a.join() + b.join() == 42, "a result was lost");
}

}  // namespace runtimes
