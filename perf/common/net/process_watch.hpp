// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>
#include <time.h>

#include <cstdint>
#include <fstream>
#include <string>

#include "common/arguments.hpp"

namespace perf::net {

/// A process, which need not be ours.
class process_watch {
 public:
  explicit process_watch(pid_t process) : status_("/proc/" + std::to_string(process) + "/status") {
    require(::clock_getcpuclockid(process, &clock_) == 0, "no such process");
  }

  /// The processor time, user and system, of all its threads.
  double seconds() const {
    timespec time{};
    require(::clock_gettime(clock_, &time) == 0, "the process is gone");
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
  }

  /// Bytes of memory that are resident.
  std::uint64_t resident() const {
    std::ifstream status(status_);
    std::string key;
    std::uint64_t kib = 0;
    while (status >> key)
      if (key == "VmRSS:" && status >> kib) return kib * 1024;
    fail("the process is gone");
  }

 private:
  const std::string status_;
  clockid_t clock_{};
};

}  // namespace perf::net
