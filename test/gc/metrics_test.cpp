// SPDX-License-Identifier: BSL-1.0
//
// The numbers for monitoring. The Prometheus text is read as strictly as its format is stated.
#include "heddle/gc/metrics.hpp"

#include <algorithm>
#include <array>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "dying.hpp"
#include "heddle/gc.hpp"

namespace {

namespace gc = heddle::gc;
using heddle::testing::collect_until;
using heddle::testing::far_below;

struct counted {
  gc::ptr<counted> next;
  std::array<std::uint64_t, 5> rest{};
};
struct in_arrays {
  gc::ptr<in_arrays> next;
};
template <char C>
struct marked_by {
  gc::ptr<marked_by> next;
};

/// Counted objects.
struct ringed {
  gc::counted<ringed> next;
  std::array<char, 100> rest{};
};
struct in_counted_arrays {
  gc::counted<in_counted_arrays> next;
};
/// As that one, for sums only.
bool is_counted(const gc::type_values& t) {
  const std::string end = " (counted)";
  return t.type.size() > end.size() && t.type.compare(t.type.size() - end.size(), end.size(), end) == 0;
}

/// The types whose names end so.
gc::type_values of_type(const std::string& end) {
  for (const gc::type_values& t : gc::heap_by_type())
    if (t.type.size() >= end.size() && t.type.compare(t.type.size() - end.size(), end.size(), end) == 0) return t;
  return {};
}

std::uint64_t total(const gc::wait_values& w) {
  std::uint64_t sum = 0;
  for (const std::uint64_t n : w.counts) sum += n;
  return sum;
}

/// A text in the exposition format, taken apart.
struct exposition {
  std::map<std::string, std::string> types;                      // by metric
  std::map<std::string, std::map<std::string, double>> samples;  // by name, and by labels as they are written

  explicit exposition(const std::string& text) {
    BOOST_TEST_REQUIRE(!text.empty());
    BOOST_TEST(text.back() == '\n');
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) read(line);
  }

  double value(const std::string& name, const std::string& labels = "") const {
    const auto found = samples.find(name);
    BOOST_TEST_REQUIRE((found != samples.end() && found->second.count(labels) == 1), name << "{" << labels << "}");
    return found->second.at(labels);
  }

 private:
  void read(const std::string& line) {
    const std::regex help("# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) ([^\\\\]|\\\\\\\\|\\\\n)+");
    const std::regex type("# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|histogram)");
    const std::string label = "[a-zA-Z_][a-zA-Z0-9_]*=\"(?:[^\"\\\\]|\\\\\\\\|\\\\\"|\\\\n)*\"";
    const std::regex sample("([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\\{(" + label + "(?:," + label +
                            ")*)\\})? ([0-9]+(?:\\.[0-9]+)?)");
    std::smatch m;
    if (std::regex_match(line, m, help)) {
      metric_ = m[1];
      BOOST_TEST(types.count(metric_) == 0, "twice: " << line);
    } else if (std::regex_match(line, m, type)) {
      BOOST_TEST(m[1] == metric_, "HELP comes first: " << line);
      types[metric_] = m[2];
      BOOST_TEST((m[2] == "counter") == std::regex_match(metric_, std::regex(".*_total")), line);
    } else {
      BOOST_TEST_REQUIRE(std::regex_match(line, m, sample), line);
      const std::string name = m[1];
      const bool is_histogram = types.at(metric_) == "histogram";
      const std::string suffix = name.substr(std::min(name.size(), metric_.size()));
      BOOST_TEST((name.rfind(metric_, 0) == 0 &&
                  (is_histogram ? suffix == "_bucket" || suffix == "_sum" || suffix == "_count" : suffix.empty())),
                 "not within its metric: " << line);
      BOOST_TEST(samples[name].emplace(m[2], std::stod(m[3])).second, "twice: " << line);
      if (name == metric_ + "_bucket") buckets.emplace_back(m[2], std::stod(m[3]));
    }
  }
  std::string metric_;

 public:
  std::vector<std::pair<std::string, double>> buckets;  // as they come
};

std::string unescaped(const std::string& labels) {
  std::string text;
  for (std::size_t i = 0; i != labels.size(); ++i)
    if (labels[i] != '\\')
      text += labels[i];
    else
      text += labels[++i] == 'n' ? '\n' : labels[i];
  return text;
}

/// The buckets of a cause: upper bounds in seconds, and counts; the last one is +Inf.
struct bucket {
  std::string bound;
  double count;
};
std::vector<bucket> buckets_of(const exposition& e, const std::string& cause) {
  std::vector<bucket> found;
  const std::regex labels("cause=\"" + cause + "\",le=\"([^\"]+)\"");
  std::smatch m;
  for (const auto& [written, count] : e.buckets)
    if (std::regex_match(written, m, labels)) found.push_back({m[1], count});
  return found;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(metrics, heddle::testing::collected_check)

BOOST_AUTO_TEST_CASE(the_heap_by_type_counts_what_lives) {
  constexpr std::uint64_t many = 1000;
  gc::root<counted> list;
  far_below([&] {
    for (std::uint64_t i = 0; i != many; ++i) list = gc::make<counted>(list.get());
  });
  gc::collect();
  gc::collect();  // it counts the last one only
  const gc::type_values living = of_type("counted");
  BOOST_TEST(living.objects == many);
  std::size_t each = 0;
  far_below([&] { each = gc::detail::extent_of(list.get()).bytes; });
  BOOST_TEST(living.live_bytes == many * each);
  BOOST_TEST(living.span_bytes >= living.live_bytes);
  far_below([&] { list = nullptr; });
  BOOST_TEST(collect_until([] { return of_type("counted").objects == 0; }));
}

BOOST_AUTO_TEST_CASE(arrays_of_all_sizes_are_one_type_and_large_ones_count_once) {
  gc::root<in_arrays[]> small, large;
  far_below([&] {
    small = gc::make_array<in_arrays>(3);
    large = gc::make_array<in_arrays>(100'000);
  });
  gc::collect();
  const gc::type_values arrays = of_type("in_arrays[]");
  BOOST_TEST(arrays.objects == 2);
  BOOST_TEST(arrays.live_bytes == gc::detail::extent_of(small.get()).bytes + gc::detail::extent_of(large.get()).bytes);
  BOOST_TEST(of_type("in_arrays").objects == 0, "no single objects");
}

BOOST_AUTO_TEST_CASE(types_without_addresses_are_one_and_all_make_up_the_heap) {
  const gc::root<int> number(gc::make<int>(7));
  const gc::root<counted> other(gc::make<counted>());
  gc::collect();
  std::uint64_t live = 0, in_spans = 0, last = ~std::uint64_t{0};
  for (const gc::type_values& t : gc::heap_by_type()) {
    BOOST_TEST(t.live_bytes <= last, "the largest first");
    last = t.live_bytes;
    if (is_counted(t)) continue;
    live += t.live_bytes;
    in_spans += t.span_bytes;
  }
  BOOST_TEST(of_type("(without addresses)").objects >= 1);
  const gc::statistics_values s = gc::statistics();
  BOOST_TEST(live == s.live_bytes);
  BOOST_TEST(in_spans == s.heap_bytes);
}

BOOST_AUTO_TEST_CASE(counted_objects_are_counted_by_type) {
  constexpr std::size_t many = 1000;
  std::vector<gc::counted<ringed>> some;
  for (std::size_t i = 0; i != many; ++i) some.push_back(gc::make_counted<ringed>());
  const std::size_t each = gc::detail::bytes_behind(*gc::detail::header_around(some[0].get()));
  const gc::type_values all = of_type("ringed (counted)");
  BOOST_TEST((all.objects == many && all.live_bytes == many * each));
  BOOST_TEST((all.span_bytes >= all.live_bytes && all.span_bytes < 2 * all.live_bytes));
  some.resize(many / 4);  // free at once: no cycle is needed
  BOOST_TEST(of_type("ringed (counted)").objects == many / 4);
  some[0]->next = some[0];
  some.clear();
  BOOST_TEST(of_type("ringed (counted)").objects == 1);  // a cycle is there until a search has found it
  BOOST_TEST(gc::collect_cycles() == 1u);
  const gc::type_values none = of_type("ringed (counted)");
  BOOST_TEST((none.objects == 0 && none.live_bytes == 0));
  BOOST_TEST(of_type("ringed").objects == 0, "no collected ones");
}

BOOST_AUTO_TEST_CASE(counted_arrays_count_once_and_all_make_up_their_heap) {
  const auto small = gc::make_counted<in_counted_arrays[]>(3);
  const auto large = gc::make_counted<in_counted_arrays[]>(100'000);
  const auto single = gc::make_counted<int>(7);
  const gc::counted_weak<int> weak = single;
  BOOST_TEST(of_type("in_counted_arrays[] (counted)").objects == 2);
  BOOST_TEST(of_type("in_counted_arrays[] (counted)").live_bytes >= 100'003 * sizeof(in_counted_arrays));
  BOOST_TEST(of_type("int (counted)").objects >= 1);
  BOOST_TEST(of_type("weak_count_cell (counted)").objects == 1);
  std::uint64_t in_spans = 0;
  for (const gc::type_values& t : gc::heap_by_type())
    if (is_counted(t)) in_spans += t.span_bytes;
  BOOST_TEST(in_spans == gc::counted_statistics().heap_bytes);
}

BOOST_AUTO_TEST_CASE(counted_objects_that_others_have_freed_are_gone) {
  std::vector<gc::counted<ringed>> some;
  for (int i = 0; i != 100; ++i) some.push_back(gc::make_counted<ringed>());
  const std::uint64_t rest = of_type("ringed (counted)").objects - 100;
  std::vector<gc::counted<ringed>> others;
  std::thread([&] {
    for (int i = 0; i != 100; ++i) others.push_back(gc::make_counted<ringed>());
  }).join();
  BOOST_TEST(of_type("ringed (counted)").objects == rest + 200);
  others.clear();  // their maker is gone: its ledger is nobody's
  BOOST_TEST(of_type("ringed (counted)").objects == rest + 100);
  std::thread([&] { some.clear(); }).join();
  gc::collect_cycles();  // sees to what waits for this thread
  BOOST_TEST(of_type("ringed (counted)").objects == rest);
}

BOOST_AUTO_TEST_CASE(waits_are_counted_by_cause) {
  const gc::statistics_values at_first = gc::statistics();
  std::thread([] {
    gc::make<counted>();  // the thread's first use of the heap
    gc::collect();        // it is stopped, and so is the test's thread
  }).join();
  const gc::statistics_values after = gc::statistics();
  for (const gc::wait_cause c : {gc::wait_cause::handshake, gc::wait_cause::scan}) {
    BOOST_TEST(total(after.waits_for(c)) > total(at_first.waits_for(c)));
    BOOST_TEST(after.waits_for(c).sum_ns > at_first.waits_for(c).sum_ns);
  }
  BOOST_TEST(total(after.waits_for(gc::wait_cause::cycle)) == total(at_first.waits_for(gc::wait_cause::cycle)));
  for (const gc::wait_values& w : after.waits) {
    // Each wait of class i took from 2^i to 2^(i+1) - 1.
    std::uint64_t least = 0, most = 0;
    for (std::size_t i = 0; i != w.counts.size(); ++i) {
      least += i == 0 ? 0 : w.counts[i] << i;
      most += w.counts[i] * ((std::uint64_t{2} << i) - 1);
    }
    BOOST_TEST((least <= w.sum_ns && w.sum_ns <= most));
  }
}

BOOST_AUTO_TEST_CASE(prometheus_reads_the_same_numbers) {
  const gc::root<counted> some(gc::make<counted>());
  std::thread([] { gc::make<counted>(); }).join();
  gc::collect();
  const gc::statistics_values s = gc::statistics();
  const exposition e(gc::prometheus());
  const auto equals = [&](const char* name, double wanted) { BOOST_TEST(e.value(name) == wanted, name); };
  equals("heddle_gc_cycles_total", static_cast<double>(s.cycles));
  equals("heddle_gc_young_cycles_total", static_cast<double>(s.young_cycles));
  equals("heddle_gc_promoted_bytes_total", static_cast<double>(s.promoted_bytes));
  equals("heddle_gc_fibers_passed_over_total", static_cast<double>(s.fibers_passed_over));
  BOOST_TEST(std::abs(e.value("heddle_gc_mark_cpu_seconds_total") - static_cast<double>(s.mark_cpu_ns) / 1e9) < 1e-12);
  equals("heddle_gc_allocated_bytes_total", static_cast<double>(s.allocated_bytes));
  equals("heddle_gc_live_bytes", static_cast<double>(s.live_bytes));
  equals("heddle_gc_goal_bytes", static_cast<double>(s.goal_bytes));
  equals("heddle_gc_heap_bytes", static_cast<double>(s.heap_bytes));
  equals("heddle_gc_destructors_total", static_cast<double>(s.destructors_run));
  equals("heddle_gc_destructors_queued", static_cast<double>(s.destructors_queued));
  equals("heddle_gc_cleanups_total", static_cast<double>(s.cleanups_run));
  equals("heddle_gc_cleanups_queued", static_cast<double>(s.cleanups_queued));
  const std::vector<gc::type_values> types = gc::heap_by_type();
  BOOST_TEST(e.samples.at("heddle_gc_type_objects").size() == types.size());
  for (const gc::type_values& t : types) {
    if (t.type.find_first_of("\"\\\n") != std::string::npos) continue;
    const std::string label = "type=\"" + t.type + '"';
    BOOST_TEST(e.value("heddle_gc_type_objects", label) == static_cast<double>(t.objects));
    BOOST_TEST(e.value("heddle_gc_type_live_bytes", label) == static_cast<double>(t.live_bytes));
    BOOST_TEST(e.value("heddle_gc_type_span_bytes", label) == static_cast<double>(t.span_bytes));
  }
}

BOOST_AUTO_TEST_CASE(prometheus_reads_the_numbers_of_counted_objects) {
  gc::counted<ringed> living = gc::make_counted<ringed>(), dead = gc::make_counted<ringed>();
  living->next = living;
  dead->next = dead;
  dead = nullptr;
  const gc::counted_values before_that = gc::counted_statistics();
  BOOST_TEST(gc::collect_cycles() == 1u);
  BOOST_TEST(gc::counted_statistics().objects_found == before_that.objects_found + 1);
  living->next = nullptr;  // a reference less: a candidate
  const gc::counted_values c = gc::counted_statistics();
  BOOST_TEST(c.searches > before_that.searches);
  BOOST_TEST((before_that.candidates >= 1 && c.candidates == 1));
  const exposition e(gc::prometheus());
  const auto equals = [&](const char* name, std::uint64_t wanted) {
    BOOST_TEST(e.value(name) == static_cast<double>(wanted), name);
  };
  equals("heddle_gc_counted_searches_total", c.searches);
  equals("heddle_gc_counted_visited_total", c.objects_visited);
  equals("heddle_gc_counted_found_total", c.objects_found);
  equals("heddle_gc_counted_forgotten_total", c.forgotten);
  equals("heddle_gc_counted_candidates", c.candidates);
  equals("heddle_gc_counted_heap_bytes", c.heap_bytes);
  BOOST_TEST(std::abs(e.value("heddle_gc_counted_longest_search_seconds") - static_cast<double>(c.longest_ns) / 1e9) <
             1e-12);
  BOOST_TEST(c.longest_ns > 0);
}

BOOST_AUTO_TEST_CASE(prometheus_histograms_are_cumulative_and_whole) {
  std::thread([] { gc::make<counted>(); }).join();
  gc::collect();
  const exposition e(gc::prometheus());
  const gc::statistics_values s = gc::statistics();
  BOOST_TEST(e.types.at("heddle_gc_wait_seconds") == "histogram");
  const char* const causes[] = {"handshake", "assist", "cycle", "scan"};
  for (std::size_t c = 0; c != gc::wait_causes; ++c) {
    const gc::wait_values& w = s.waits[c];
    const std::vector<bucket> buckets = buckets_of(e, causes[c]);
    BOOST_TEST_REQUIRE(buckets.size() > 10);
    double last = 0, last_bound = 0;
    for (const bucket& b : buckets) {
      const double bound = b.bound == "+Inf" ? 1e18 : std::stod(b.bound);
      BOOST_TEST((bound > last_bound && b.count >= last), "cumulative, and by size");
      last_bound = bound;
      last = b.count;
      double wanted = 0;
      for (std::size_t i = 0; i != w.counts.size(); ++i)
        if (static_cast<double>((std::uint64_t{2} << i) - 1) / 1e9 <= bound * (1 + 1e-9) || b.bound == "+Inf")
          wanted += static_cast<double>(w.counts[i]);
      BOOST_TEST(b.count == wanted, causes[c] << " up to " << b.bound);
    }
    const std::string label = std::string("cause=\"") + causes[c] + '"';
    BOOST_TEST(buckets.back().bound == "+Inf");
    BOOST_TEST(e.value("heddle_gc_wait_seconds_count", label) == buckets.back().count);
    BOOST_TEST(std::abs(e.value("heddle_gc_wait_seconds_sum", label) - static_cast<double>(w.sum_ns) / 1e9) < 1e-8);
  }
}

BOOST_AUTO_TEST_CASE(prometheus_escapes_names_of_types) {
  const gc::root<marked_by<'"'>> quote(gc::make<marked_by<'"'>>());
  const gc::root<marked_by<'\\'>> backslash(gc::make<marked_by<'\\'>>());
  gc::collect();
  const exposition e(gc::prometheus());
  std::set<std::string> read, wanted;
  for (const auto& [labels, value] : e.samples.at("heddle_gc_type_objects")) read.insert(unescaped(labels));
  for (const gc::type_values& t : gc::heap_by_type()) wanted.insert("type=\"" + t.type + '"');
  BOOST_TEST(read == wanted, boost::test_tools::per_element());
  BOOST_TEST(std::any_of(wanted.begin(), wanted.end(), [](auto& n) { return n.find("<'") != std::string::npos; }));
}

BOOST_AUTO_TEST_SUITE_END()
