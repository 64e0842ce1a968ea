// SPDX-License-Identifier: BSL-1.0
//
// The numbers as Prometheus reads them: the text exposition format, version 0.0.4.
#include <array>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "heddle/gc/collect.hpp"
#include "heddle/gc/counted.hpp"
#include "heddle/gc/metrics.hpp"

namespace heddle::gc {

namespace {

constexpr std::array<const char*, wait_causes> cause_names{"handshake", "assist", "cycle", "scan"};

/// Buckets of a histogram: waits below 2^7 ns are in the first one, those from 2^34 ns (17 s) on in none but +Inf.
constexpr std::size_t first_bucket = 6;
constexpr std::size_t last_bucket = 33;

/// By integers, since the decimal point of a double is the locale's.
std::string seconds(std::uint64_t ns) {
  char text[40];
  std::snprintf(text, sizeof text, "%llu.%09llu", static_cast<unsigned long long>(ns / 1'000'000'000),
                static_cast<unsigned long long>(ns % 1'000'000'000));
  return text;
}

/// A label's value.
std::string quoted(std::string_view value) {
  std::string text = "\"";
  for (const char c : value) {
    if (c == '\\' || c == '"') text += '\\';
    c == '\n' ? text += "\\n" : text += c;
  }
  return text + '"';
}

class exposition {
 public:
  /// A metric begins; its samples follow.
  void begin(std::string_view name, std::string_view type, std::string_view help) {
    name_ = name;
    text_.append("# HELP heddle_gc_").append(name).append(" ").append(help).append("\n");
    text_.append("# TYPE heddle_gc_").append(name).append(" ").append(type).append("\n");
  }
  void sample(const std::string& value, std::string_view labels = {}, std::string_view suffix = {}) {
    text_.append("heddle_gc_").append(name_).append(suffix);
    if (!labels.empty()) text_.append("{").append(labels).append("}");
    text_.append(" ").append(value).append("\n");
  }
  void counter(std::string_view name, const std::string& value, std::string_view help) {
    begin(name, "counter", help);
    sample(value);
  }
  void gauge(std::string_view name, std::uint64_t value, std::string_view help) {
    begin(name, "gauge", help);
    sample(std::to_string(value));
  }
  std::string take() noexcept { return std::move(text_); }

 private:
  std::string_view name_;
  std::string text_;
};

void write_waits(exposition& to, const wait_values& w, const char* cause) {
  const std::string label = std::string("cause=\"") + cause + '"';
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i != w.counts.size(); ++i) {
    sum += w.counts[i];
    if (i < first_bucket || i > last_bucket) continue;
    const std::uint64_t longest = (std::uint64_t{2} << i) - 1;
    to.sample(std::to_string(sum), label + ",le=\"" + seconds(longest) + '"', "_bucket");
  }
  to.sample(std::to_string(sum), label + ",le=\"+Inf\"", "_bucket");
  to.sample(seconds(w.sum_ns), label, "_sum");
  to.sample(std::to_string(sum), label, "_count");
}

void write_counted(exposition& to) {
  const counted_values c = counted_statistics();
  to.counter("counted_searches_total", std::to_string(c.searches), "Searches for cycles of counted objects.");
  to.counter("counted_visited_total", std::to_string(c.objects_visited), "Counted objects that searches went through.");
  to.counter("counted_found_total", std::to_string(c.objects_found), "Counted objects in cycles that were garbage.");
  to.counter("counted_forgotten_total", std::to_string(c.forgotten), "Candidates given up for want of memory.");
  to.gauge("counted_candidates", c.candidates, "Counted objects at which the next search will begin.");
  to.gauge("counted_heap_bytes", c.heap_bytes, "Bytes of the pages of counted objects.");
  to.begin("counted_longest_search_seconds", "gauge", "Longest time that a search has kept threads from counting.");
  to.sample(seconds(c.longest_ns));
}

void write_types(exposition& to) {
  struct column {
    const char* name;
    const char* help;
    std::uint64_t type_values::*value;
  };
  constexpr column columns[] = {
      {"type_objects", "Objects of a type that the last cycle has left, or counted ones.", &type_values::objects},
      {"type_live_bytes", "Bytes of these objects.", &type_values::live_bytes},
      {"type_span_bytes", "Bytes of the pages that serve a type.", &type_values::span_bytes},
  };
  const std::vector<type_values> types = heap_by_type();
  for (const column& c : columns) {
    to.begin(c.name, "gauge", c.help);
    for (const type_values& t : types) to.sample(std::to_string(t.*c.value), "type=" + quoted(t.type));
  }
}

}  // namespace

std::string prometheus() {
  const statistics_values s = statistics();
  exposition to;
  to.counter("cycles_total", std::to_string(s.cycles), "Cycles that are over.");
  to.counter("young_cycles_total", std::to_string(s.young_cycles), "Young cycles that are over.");
  to.counter("promoted_bytes_total", std::to_string(s.promoted_bytes), "Bytes that young cycles have made old.");
  to.counter("fibers_passed_over_total", std::to_string(s.fibers_passed_over),
             "Parked fibers whose stacks young cycles have not read.");
  to.counter("mark_cpu_seconds_total", seconds(s.mark_cpu_ns), "Processor time of the collector for marking.");
  to.counter("allocated_bytes_total", std::to_string(s.allocated_bytes), "Bytes of all objects ever made.");
  to.gauge("live_bytes", s.live_bytes, "Bytes of objects that the last cycle has left.");
  to.gauge("goal_bytes", s.goal_bytes, "Live bytes, and as much as may be allocated until the next cycle is over.");
  to.gauge("heap_bytes", s.heap_bytes, "Bytes of the pages of the collected heap.");
  to.counter("destructors_total", std::to_string(s.destructors_run), "Destructors that have run.");
  to.gauge("destructors_queued", s.destructors_queued, "Destructors that wait.");
  to.counter("cleanups_total", std::to_string(s.cleanups_run), "Cleanups that have run.");
  to.gauge("cleanups_queued", s.cleanups_queued, "Cleanups that wait.");
  to.begin("wait_seconds", "histogram", "Waits of fibers and threads for the collector.");
  for (std::size_t i = 0; i != wait_causes; ++i) write_waits(to, s.waits[i], cause_names[i]);
  write_counted(to);
  write_types(to);
  return to.take();
}

}  // namespace heddle::gc
