// SPDX-License-Identifier: BSL-1.0
#include "settings.hpp"

#include <sched.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "cpu_quota.hpp"
#include "report.hpp"

namespace heddle::detail {
namespace {

/// A number, perhaps with K, M or G behind it.
std::optional<std::size_t> number(std::string_view text) {
  std::size_t shift = 0;
  if (!text.empty()) {
    switch (text.back()) {
      case 'k':
      case 'K': shift = 10; break;
      case 'm':
      case 'M': shift = 20; break;
      case 'g':
      case 'G': shift = 30; break;
      default: break;
    }
  }
  if (shift != 0) text.remove_suffix(1);
  std::size_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  if (value > (std::numeric_limits<std::size_t>::max() >> shift)) return std::nullopt;
  return value << shift;
}

struct key {
  std::string_view name;
  std::size_t least;
  std::size_t most;
  void (*set)(options&, std::size_t);
};

constexpr key keys[] = {
    {"procs", 0, 4096, [](options& o, std::size_t v) { o.procs = static_cast<unsigned>(v); }},
    {"stack", std::size_t{16} << 10, std::size_t{64} << 20, [](options& o, std::size_t v) { o.stack_size = v; }},
    {"segment", 1024, 2048, [](options& o, std::size_t v) { o.segment_size = v <= 1024 ? 1024 : 2048; }},
    {"max_stack", std::size_t{1} << 20, std::size_t{1} << 46, [](options& o, std::size_t v) { o.max_stack = v; }},
    {"preempt", 0, 1, [](options& o, std::size_t v) { o.preempt = v != 0; }},
    {"slice", 1000, 10'000'000,
     [](options& o, std::size_t v) { o.slice = std::chrono::microseconds(static_cast<long>(v)); }},
    {"machines", 1, 1'000'000, [](options& o, std::size_t v) { o.max_machines = static_cast<unsigned>(v); }},
    {"deadlock", 0, 1, [](options& o, std::size_t v) { o.detect_deadlock = v != 0; }},
    {"monitor", 0, 1, [](options& o, std::size_t v) { o.monitor = v != 0; }},
    {"overflow", 0, 1, [](options& o, std::size_t v) { o.report_overflow = v != 0; }},
    {"abort_conf", 0, 1, [](options& o, std::size_t v) { o.abort_conf = v != 0; }},
};

/// What is wrong with one `key=value`, or nothing; sets it if it is right.
std::string apply(options& o, std::string_view item) {
  const std::size_t equals = item.find('=');
  const std::string_view name = item.substr(0, equals);
  const key* k = std::find_if(std::begin(keys), std::end(keys), [&](const key& c) { return c.name == name; });
  if (k == std::end(keys)) {
    std::string known;
    for (const key& c : keys) known += (known.empty() ? "" : ", ") + std::string(c.name);
    return "unknown key \"" + std::string(name) + "\" (known: " + known + ")";
  }
  const std::string_view text = equals == std::string_view::npos ? std::string_view() : item.substr(equals + 1);
  const std::optional<std::size_t> value = number(text);
  if (!value || *value < k->least || *value > k->most)
    return "bad value \"" + std::string(text) + "\" for " + std::string(name) + " (" + std::to_string(k->least) +
           " to " + std::to_string(k->most) + ")";
  k->set(o, *value);
  return {};
}

void apply_environment(options& o) {
  const char* text = ::secure_getenv("HEDDLE");  // null where the process has rights that its starter has not
  if (text == nullptr) return;
  bool wrong = false;
  std::string_view rest(text);
  while (!rest.empty()) {
    const std::size_t comma = rest.find(',');
    const std::string_view item = rest.substr(0, comma);
    rest.remove_prefix(comma == std::string_view::npos ? rest.size() : comma + 1);
    if (item.empty()) continue;
    const std::string error = apply(o, item);
    if (error.empty()) continue;
    wrong = true;
    std::fprintf(stderr, "heddle: HEDDLE: %s\n", error.c_str());
  }
  if (!wrong || !o.abort_conf) return;
  std::fputs("heddle: HEDDLE has errors and abort_conf is set\n", stderr);
  std::_Exit(2);
}

void check(const options& o) {
  check_stack_size(o.stack_size);
  if (o.segment_size != 1024 && o.segment_size != 2048)
    throw std::invalid_argument("heddle: segment_size " + std::to_string(o.segment_size) + " is neither 1024 nor 2048");
  if (o.max_stack < std::size_t{1} << 20)
    throw std::invalid_argument("heddle: max_stack " + std::to_string(o.max_stack) +
                                " is out of range: at least 1048576 (1M)");
  if (o.procs > 4096)
    throw std::invalid_argument("heddle: procs " + std::to_string(o.procs) + " is out of range: at most 4096");
  if (o.slice < std::chrono::microseconds(1000))
    throw std::invalid_argument("heddle: slice " + std::to_string(o.slice.count()) +
                                " us is out of range: at least 1000");
  if (o.max_machines == 0) throw std::invalid_argument("heddle: max_machines is 0: at least 1");
}

}  // namespace

unsigned usable_processors() noexcept {
  cpu_set_t set;
  unsigned n = 1;
  if (::sched_getaffinity(0, sizeof set, &set) == 0) n = static_cast<unsigned>(CPU_COUNT(&set));
  try {
    if (const auto q = cpu_quota()) n = std::min(n, *q);
  } catch (...) {  // no memory for a path: the affinity has to do
  }
  return std::max(n, 1u);
}

options effective_options(options given) {
  check(given);
  apply_environment(given);
  if (given.procs == 0) given.procs = usable_processors();
  return given;
}

}  // namespace heddle::detail
