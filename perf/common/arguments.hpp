// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace perf {

/// Says on stderr what went wrong and ends the program: a contender that computed something else than it
/// was asked for must not leave a figure behind.
[[noreturn]] inline void fail(std::string_view what) {
  std::fprintf(stderr, "error: %.*s\n", static_cast<int>(what.size()), what.data());
  std::exit(1);
}

inline void require(bool holds, std::string_view what) {
  if (!holds) fail(what);
}

/// The command line of a contender: `--name value` pairs of unsigned numbers, each of which has a default.
///
///     perf::arguments args(argc, argv, {{"procs", 1}, {"messages", 1000}});
///     args["messages"];
class arguments {
 public:
  arguments(int argc, char** argv, std::map<std::string, std::uint64_t> defaults) : values_(std::move(defaults)) {
    values_.try_emplace("procs", 1);
    values_.try_emplace("ms", 100);  // how long one measurement lasts at least
    for (int i = 1; i < argc; i += 2) parse(argv[i], i + 1 < argc ? argv[i + 1] : "");
    require(values_["procs"] > 0, "--procs must be at least 1");
  }

  std::uint64_t operator[](const std::string& name) const { return values_.at(name); }
  unsigned procs() const { return static_cast<unsigned>(values_.at("procs")); }

 private:
  void parse(std::string_view option, std::string_view text) {
    const auto found = option.starts_with("--") ? values_.find(std::string(option.substr(2))) : values_.end();
    if (found == values_.end()) usage(option);
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), found->second);
    require(error == std::errc{} && end == text.data() + text.size(),
            std::string(option) + " needs a number, not '" + std::string(text) + "'");
  }

  [[noreturn]] void usage(std::string_view option) const {
    std::string text = "unknown option '" + std::string(option) + "'; the options and their defaults are";
    for (const auto& [name, value] : values_) text += " --" + name + " " + std::to_string(value);
    fail(text);
  }

  std::map<std::string, std::uint64_t> values_;
};

}  // namespace perf
