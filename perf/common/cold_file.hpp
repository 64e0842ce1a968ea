// SPDX-License-Identifier: BSL-1.0
//
// The file of which all contenders of fiber/cold_reads read blocks at random; the same numbers are in its go.go.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "common/arguments.hpp"
#include "common/sleepers.hpp"

namespace perf {

constexpr std::size_t block_bytes = 4096;

/// On the disk of /var/tmp, without a name; each block begins with its number.
class cold_file {
 public:
  explicit cold_file(std::uint64_t mib) : blocks_(mib << 8) {
    std::string path = "/var/tmp/heddle-cold-XXXXXX";
    fd_ = ::mkostemp(path.data(), O_CLOEXEC);
    require(fd_ >= 0 && ::unlink(path.c_str()) == 0, "no file in /var/tmp");
    constexpr std::size_t at_once = 256;
    std::vector<char> memory(at_once * block_bytes);
    for (std::uint64_t n = 0; n != blocks_; n += at_once) {
      for (std::uint64_t i = 0; i != at_once; ++i) {
        const std::uint64_t number = n + i;
        std::memcpy(memory.data() + i * block_bytes, &number, sizeof number);
      }
      require(::write(fd_, memory.data(), memory.size()) == static_cast<ssize_t>(memory.size()), "the disk is full");
    }
    require(::fsync(fd_) == 0, "fsync failed");
    ::posix_fadvise(fd_, 0, 0, POSIX_FADV_RANDOM);
  }
  cold_file(const cold_file&) = delete;
  cold_file& operator=(const cold_file&) = delete;

  int fd() const { return fd_; }
  /// Nothing of it is in memory from now on.
  void cool() const { ::posix_fadvise(fd_, 0, 0, POSIX_FADV_DONTNEED); }
  /// The block of the n-th read: no block again before all have been.
  std::uint64_t block(std::uint64_t n) const { return n * 40'503 % blocks_; }
  static void check(const char* memory, std::uint64_t block) {
    std::uint64_t number = 0;
    std::memcpy(&number, memory, sizeof number);
    require(number == block, "a block was not read");
  }

 private:
  const std::uint64_t blocks_;
  int fd_ = -1;
};

}  // namespace perf
