// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <fstream>
#include <string>

namespace perf {

/// Bytes of physical memory that this process occupies now: resident pages and the page tables that map them.
inline std::uint64_t memory_in_use() {
  std::ifstream status("/proc/self/status");
  std::string key;
  std::uint64_t kib = 0;
  std::uint64_t total = 0;
  while (status >> key) {
    if ((key == "VmRSS:" || key == "VmPTE:") && status >> kib) total += kib * 1024;
  }
  return total;
}

}  // namespace perf
