// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>

#include "common/arguments.hpp"

namespace perf {

/// The loader goes on without a preload that it cannot have, and the libc would be measured under a name that is not
/// its own. So `PERF_ALLOCATOR` says what has to be in the memory map: the path of the library, or nothing at all.
inline void require_allocator() {
  const char* wanted = std::getenv("PERF_ALLOCATOR");
  if (wanted == nullptr) return;  // called by hand
  if (std::string_view(wanted).empty()) {
    return require(std::getenv("LD_PRELOAD") == nullptr, "something is preloaded, although nothing was to be");
  }
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.ends_with(wanted)) return;
  }
  fail(std::string(wanted) + " was to be preloaded and is not");
}

/// The arguments of a program that runs under an allocator.
class allocator_arguments : public arguments {
 public:
  allocator_arguments(int argc, char** argv, std::map<std::string, std::uint64_t> defaults)
      : arguments(argc, argv, std::move(defaults)) {
    require_allocator();
  }
};

}  // namespace perf
