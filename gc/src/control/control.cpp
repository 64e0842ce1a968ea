// SPDX-License-Identifier: BSL-1.0
//
// The functions by which programs ask the collector and set it.
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "barrier/waits.hpp"
#include "cycle/collector.hpp"
#include "heddle/gc/collect.hpp"

namespace heddle::gc {

namespace {

/// An object for people: its type, and where it is.
std::string describe(const char* object) {
  const detail::block b = detail::the_regions.find(reinterpret_cast<std::uintptr_t>(object));
  char place[32];
  std::snprintf(place, sizeof place, " at %p", static_cast<const void*>(object));
  return (b ? std::string(b.of->name) : std::string("an object that has died since")) + place;
}

wait_values values_of(const detail::wait_histogram& h) noexcept {
  wait_values v;
  static_assert(wait_values::classes == detail::wait_histogram::classes);
  for (std::size_t i = 0; i != wait_values::classes; ++i) v.counts[i] = h.count(i);
  v.sum_ns = h.sum();
  return v;
}

}  // namespace

void collect() { detail::the_collector.collect_and_look(); }

void collect_young() { detail::the_collector.collect_young(); }

bool set_generational(bool on) noexcept { return detail::the_collector.set_generational(on); }

std::size_t set_limit(std::size_t bytes) noexcept { return detail::the_pacer().set_limit(bytes); }

unsigned set_percent(unsigned percent) noexcept {
  return static_cast<unsigned>(detail::the_pacer().set_percent(std::min(percent, 10'000u)));
}

statistics_values statistics() noexcept {
  using namespace detail;
  statistics_values s;
  const cycle_totals t = the_collector.totals();
  s.cycles = the_collector.cycles();
  s.young_cycles = t.young;
  s.promoted_bytes = the_pacer().promoted_in_all();
  s.live_bytes = t.live;
  s.mark_cpu_ns = t.mark_cpu;
  s.fibers_passed_over = t.passed_over;
  s.goal_bytes = the_pacer().goal();
  s.heap_bytes = the_heap.in_spans();
  s.allocated_bytes = the_pacer().allocated_in_all();
  for (std::size_t i = 0; i != wait_causes; ++i) s.waits[i] = values_of(the_waits[i]);
  const ending_counts e = the_endings().counts();
  s.destructors_run = e.destructors_run;
  s.destructors_queued = e.destructors_due;
  s.cleanups_run = e.cleanups_run;
  s.cleanups_queued = e.cleanups_due;
  return s;
}

std::string explain(const void* p) {
  using namespace detail;
  const object_extent object = extent_of(p);
  if (object.start == nullptr) return "no object\n";
  trail t;
  // The address is hidden meanwhile: this function's own stack is no reason to live.
  std::uintptr_t hidden = ~reinterpret_cast<std::uintptr_t>(object.start);
  the_collector.collect_with(t);
  std::vector<std::string> path;
  const auto* at = reinterpret_cast<const char*>(~hidden);
  for (const trail::origin* from = t.find(at); from != nullptr; from = t.find(at = from->object)) {
    path.push_back(describe(at));
    if (from->root != nullptr) {
      path.emplace_back(from->root);
      break;
    }
  }
  if (path.empty()) return "dead, or made while the question was answered\n";
  std::string text;
  for (auto line = path.rbegin(); line != path.rend(); ++line) text += *line + '\n';
  return text;
}

}  // namespace heddle::gc
