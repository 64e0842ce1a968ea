// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <filesystem>
#include <string>

#include "shim/circumstances/system_setting.hpp"

namespace heddle::testing {

/// A cgroup with a limit on memory, in the first hierarchy there is for that, while this lives: v2, or v1's.
class memory_group {
 public:
  explicit memory_group(std::size_t limit) {
    const bool unified = std::filesystem::exists(root_ / "cgroup.controllers");
    if (!unified) root_ /= "memory";
    if (unified && !has_memory()) turned_on_ = write_to(root_ / "cgroup.subtree_control", "+memory");
    folder_ = root_ / ("heddle_shim_" + std::to_string(::getpid()));
    std::error_code error;
    std::filesystem::create_directory(folder_, error);
    if (error) return;
    usage_ = folder_ / (unified ? "memory.current" : "memory.usage_in_bytes");
    made_ = write_to(folder_ / (unified ? "memory.max" : "memory.limit_in_bytes"), std::to_string(limit)) &&
            std::filesystem::exists(usage_);
    // Without swap, if there is any: else nothing would ever be too much.
    if (unified) {
      write_to(folder_ / "memory.swap.max", "0");
    } else {
      write_to(folder_ / "memory.memsw.limit_in_bytes", std::to_string(limit));
    }
  }
  memory_group(const memory_group&) = delete;
  memory_group& operator=(const memory_group&) = delete;
  ~memory_group() {
    std::error_code error;
    for (int i = 0; i != 100 && !std::filesystem::remove(folder_, error) && error; ++i) ::usleep(10'000);
    if (turned_on_) write_to(root_ / "cgroup.subtree_control", "-memory");
  }

  explicit operator bool() const { return made_; }
  /// Moves the calling process there.
  bool enter() const { return write_to(folder_ / "cgroup.procs", std::to_string(::getpid())); }
  const std::filesystem::path& usage_file() const { return usage_; }

 private:
  /// Whether groups of the hierarchy have a limit on memory already, as where systemd is.
  bool has_memory() const {
    std::ifstream file(root_ / "cgroup.subtree_control");
    for (std::string word; file >> word;)
      if (word == "memory") return true;
    return false;
  }

  std::filesystem::path root_ = "/sys/fs/cgroup", folder_, usage_;
  bool made_ = false, turned_on_ = false;
};

}  // namespace heddle::testing
