// SPDX-License-Identifier: BSL-1.0
//
// The first lines of explorations of the product's own code.
#pragma once

#include "heddle/detail/wait.hpp"
#include "model/expect.hpp"

namespace openings {

/// As a global fixture: the product's own statics are made before the first execution, not by one of its threads.
struct warm_up {
  warm_up() { heddle::detail::running_processors(); }
};

/// Plain threads by chance.
constexpr model::options threads_for(std::uint64_t executions) {
  return {.executions = executions, .early_timeouts = 2};
}
/// Plain threads in every order, as far as one of each kind of misfortune goes.
constexpr model::options every_order_for(std::uint64_t executions) {
  return {.strategy = model::strategy::exhaustive,
          .executions = executions,
          .stale_reads = 1,
          .weak_failures = 1,
          .spurious_wakes = 1,
          .early_timeouts = 1};
}
/// Fibers of a whole runtime by chance.
constexpr model::options fibers_for(std::uint64_t executions) {
  return {.executions = executions, .max_steps = 60'000, .early_timeouts = 2, .warm_up = true};
}

template <class F>
void right(const model::options& o, F scenario) {
  model::expect_ok(o, scenario);
}
/// The bug, planted in the product, is found.
template <class F>
void wrong(model::plant bug, model::options o, F scenario, const char* text = "") {
  o.planted = bug;
  model::expect_bug(o, scenario, text);
}

}  // namespace openings
