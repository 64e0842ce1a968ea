// SPDX-License-Identifier: BSL-1.0
#include "pace/options.hpp"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <string_view>

namespace heddle::gc::detail {
namespace {

struct key {
  std::string_view name;
  std::size_t least;
  std::size_t most;
  void (*set)(options&, std::size_t);
};

constexpr std::size_t any = std::numeric_limits<std::size_t>::max();
constexpr key keys[] = {
    {"percent", 0, 10'000, [](options& o, std::size_t v) { o.percent = v; }},
    {"limit", 0, any, [](options& o, std::size_t v) { o.limit = v; }},
    {"stress", 0, any, [](options& o, std::size_t v) { o.stress = v; }},
    {"off", 0, 1, [](options& o, std::size_t v) { o.percent = v != 0 ? 0 : 100; }},
    {"check", 0, 1, [](options& o, std::size_t v) { o.check = v != 0; }},
    {"leaks", 0, 1, [](options& o, std::size_t v) { o.leaks = v != 0; }},
    {"misplaced", 0, 1, [](options& o, std::size_t v) { o.misplaced = v != 0; }},
    {"watch", 0, 1, [](options& o, std::size_t v) { o.watch = v != 0; }},
    {"trace", 0, 1, [](options& o, std::size_t v) { o.trace = v != 0; }},
};
constexpr std::string_view mode = "mode", mark_sweep = "mark-sweep", generational = "generational";

/// A number, perhaps with K, M or G behind it; false: it is none.
bool read_number(std::string_view text, std::size_t& to) noexcept {
  unsigned shift = 0;
  if (!text.empty()) {
    const char last = text.back();
    shift = last == 'k' || last == 'K' ? 10 : last == 'm' || last == 'M' ? 20 : last == 'g' || last == 'G' ? 30 : 0;
    if (shift != 0) text.remove_suffix(1);
  }
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), to);
  if (error != std::errc{} || end != text.data() + text.size() || to > any >> shift) return false;
  to <<= shift;
  return true;
}

int length(std::string_view t) noexcept { return static_cast<int>(std::min<std::size_t>(t.size(), 80)); }

void apply_mode(options& o, std::string_view text) noexcept {
  if (text == mark_sweep || text == generational)
    o.generational = text == generational;
  else
    std::fprintf(stderr, "heddle: HEDDLE_GC: bad value \"%.*s\" for mode (%s or %s)\n", length(text), text.data(),
                 mark_sweep.data(), generational.data());
}

void apply(options& o, std::string_view item) noexcept {
  const std::size_t equals = item.find('=');
  const std::string_view name = item.substr(0, equals);
  if (name == mode) return apply_mode(o, equals == std::string_view::npos ? "" : item.substr(equals + 1));
  const key* const k = std::find_if(std::begin(keys), std::end(keys), [&](const key& c) { return c.name == name; });
  if (k == std::end(keys)) {
    std::fprintf(stderr, "heddle: HEDDLE_GC: unknown key \"%.*s\" (known:", length(name), name.data());
    for (const key& c : keys) std::fprintf(stderr, " %s", c.name.data());
    std::fprintf(stderr, " %s)\n", mode.data());
    return;
  }
  // A key alone is a switch.
  const std::string_view text = equals == std::string_view::npos ? "1" : item.substr(equals + 1);
  std::size_t value = 0;
  if (!read_number(text, value) || value < k->least || value > k->most)
    std::fprintf(stderr, "heddle: HEDDLE_GC: bad value \"%.*s\" for %s (%zu to %zu)\n", length(text), text.data(),
                 k->name.data(), k->least, k->most);
  else
    k->set(o, value);
}

}  // namespace

options parse_options(const char* text) noexcept {
  options o;
  std::string_view rest = text == nullptr ? "" : text;
  while (!rest.empty()) {
    const std::size_t comma = rest.find(',');
    if (comma != 0) apply(o, rest.substr(0, comma));
    rest = comma == std::string_view::npos ? "" : rest.substr(comma + 1);
  }
  return o;
}

const options& the_options() noexcept {
  static const options o = parse_options(::secure_getenv("HEDDLE_GC"));
  return o;
}

}  // namespace heddle::gc::detail
