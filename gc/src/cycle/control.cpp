// SPDX-License-Identifier: BSL-1.0
//
// What programs may ask of the collector, and set.
#include <algorithm>

#include "barrier/waits.hpp"
#include "cycle/collector.hpp"
#include "heddle/gc/collect.hpp"

namespace heddle::gc {

void collect() { detail::the_collector.collect(); }

std::size_t set_limit(std::size_t bytes) noexcept { return detail::the_pacer().set_limit(bytes); }

unsigned set_percent(unsigned percent) noexcept {
  return static_cast<unsigned>(detail::the_pacer().set_percent(std::min(percent, 10'000u)));
}

statistics_values statistics() noexcept {
  using namespace detail;
  statistics_values s;
  const cycle_totals t = the_collector.totals();
  s.cycles = the_collector.cycles();
  s.live_bytes = t.live;
  s.mark_cpu_ns = t.mark_cpu;
  s.goal_bytes = the_pacer().goal();
  s.heap_bytes = the_heap.in_spans();
  s.allocated_bytes = the_pacer().allocated_in_all();
  static_assert(statistics_values::wait_classes == wait_histogram::classes);
  for (std::size_t i = 0; i != wait_histogram::classes; ++i) s.waits[i] = the_waits.count(i);
  const ending_counts e = the_endings().counts();
  s.destructors_run = e.destructors_run;
  s.destructors_queued = e.destructors_due;
  s.cleanups_run = e.cleanups_run;
  s.cleanups_queued = e.cleanups_due;
  return s;
}

}  // namespace heddle::gc
