// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>

namespace perf {

/// What a contender measured: one line of JSON on stdout, {"metric": value, ..., "notes": {"metric": "..."}}.
/// A metric that the contender cannot have is left out; one measured at another size than asked for has a
/// note that says so, and the driver prints it below the table.
class report {
 public:
  void add(const std::string& metric, double value) {
    char number[64];
    std::snprintf(number, sizeof number, "%.6g", value);
    append(metrics_, quoted(metric) + ": " + number);
  }
  void note(const std::string& metric, const std::string& text) {
    append(notes_, quoted(metric) + ": " + quoted(text));
  }
  /// Notes that a metric was measured with fewer things than asked for.
  void capped(const std::string& metric, std::uint64_t used, std::uint64_t wanted, const std::string& things) {
    if (used < wanted) note(metric, std::to_string(used) + " " + things + " instead of " + std::to_string(wanted));
  }
  void print() const {
    std::printf("{%s%s\"notes\": {%s}}\n", metrics_.c_str(), metrics_.empty() ? "" : ", ", notes_.c_str());
  }

 private:
  static std::string quoted(const std::string& text) {  // our own words only: nothing to escape
    return '"' + text + '"';
  }
  static void append(std::string& list, const std::string& item) { list += (list.empty() ? "" : ", ") + item; }

  std::string metrics_;
  std::string notes_;
};

}  // namespace perf
