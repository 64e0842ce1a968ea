// SPDX-License-Identifier: BSL-1.0
#include "net_settings.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace heddle {
namespace {

struct key {
  std::string_view name;
  bool net_options::*value;
};
constexpr key keys[] = {{"cares", &net_options::cares}, {"ring", &net_options::ring}};

int length(std::string_view t) noexcept { return static_cast<int>(std::min<std::size_t>(t.size(), 80)); }

void apply(net_options& o, std::string_view item) noexcept {
  const std::size_t equals = item.find('=');
  const std::string_view name = item.substr(0, equals);
  const key* const k = std::find_if(std::begin(keys), std::end(keys), [&](const key& c) { return c.name == name; });
  if (k == std::end(keys)) {
    std::fprintf(stderr, "heddle: HEDDLE_NET: unknown key \"%.*s\" (known:", length(name), name.data());
    for (const key& c : keys) std::fprintf(stderr, " %s", c.name.data());
    std::fputs(")\n", stderr);
    return;
  }
  const std::string_view text = equals == std::string_view::npos ? "1" : item.substr(equals + 1);
  if (text == "0" || text == "1")
    o.*k->value = text == "1";
  else
    std::fprintf(stderr, "heddle: HEDDLE_NET: bad value \"%.*s\" for %s (0 or 1)\n", length(text), text.data(),
                 k->name.data());
}

}  // namespace

net_options parse_net_options(std::string_view text) noexcept {
  net_options o;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    if (comma != 0) apply(o, text.substr(0, comma));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return o;
}

const net_options& net_settings() noexcept {
  static const net_options of_process = [] {
    const char* const text = ::secure_getenv("HEDDLE_NET");
    return parse_net_options(text != nullptr ? text : "");
  }();
  return of_process;
}

}  // namespace heddle
