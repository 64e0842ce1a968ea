// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <cstdio>
#include <cstring>
#include <string>

namespace perf::digest {

/// What could not be read: said on stderr in the words of sha256sum, and remembered for the exit status.
class complaints {
 public:
  explicit complaints(std::string program) : program_(std::move(program)) {}

  void add(const std::string& path, int error) {
    any_.store(true, std::memory_order_relaxed);
    // One call, one line: stdio locks its stream, so lines of several threads stay whole.
    std::fprintf(stderr, "%s: %s: %s\n", program_.c_str(), quoted(path).c_str(), std::strerror(error));
  }
  int exit_status() const { return any_.load(std::memory_order_relaxed) ? 1 : 0; }

 private:
  // Paths that a shell would take apart are quoted, all others stand as they are.
  static std::string quoted(const std::string& path) {
    static constexpr char special[] = " \t\n\r!\"#$&'()*;<=>?[\\]^`{|}~";
    if (!path.empty() && path.find_first_of(special) == std::string::npos) return path;
    std::string text = "'";
    for (const char c : path) {
      if (c == '\'') {
        text += "'\\''";
      } else {
        text += c;
      }
    }
    return text + "'";
  }

  const std::string program_;
  std::atomic<bool> any_{false};
};

}  // namespace perf::digest
