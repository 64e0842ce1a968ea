// SPDX-License-Identifier: BSL-1.0
//
// Reading a directory tree with few system calls: a directory is opened once by its path, everything in it
// relative to its descriptor, and the kernel's own entry types spare a stat for each file.
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/digest/complaints.hpp"

namespace perf::digest {

/// An open directory; stays open as long as somebody has files of it left to read.
class directory {
 public:
  directory() = default;  // where the process is: paths in it are as they were given
  explicit directory(std::string path)
      : path_(std::move(path)), descriptor_(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) {
    if (descriptor_ < 0) error_ = errno;
    if (path_.back() != '/') path_ += '/';
  }
  ~directory() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  directory(const directory&) = delete;
  directory& operator=(const directory&) = delete;

  int descriptor() const { return descriptor_; }
  int error() const { return error_; }  // of opening it: errno belongs to a thread, and a fiber may change threads
  std::string path_of(std::string_view name) const { return std::string(path_).append(name); }

 private:
  std::string path_;  // with a slash at the end
  int descriptor_ = AT_FDCWD;
  int error_ = 0;
};

/// Regular files of one directory: their names one after the other, each with its terminating zero.
struct batch {
  std::shared_ptr<const directory> where;
  std::string names;
};

inline constexpr std::size_t batch_bytes = 512;  // about 30 files, so that the last batches end at about the same time

/// Reads directories. `blocking(f)` is how the contender runs a function that may block.
template <class Blocking>
class lister {
 public:
  lister(Blocking blocking, complaints& failed) : blocking_(blocking), failed_(failed), buffer_(32 * 1024) {}

  /// Calls on_directory(path) for each directory in `path`, and on_files(batch) for the regular files.
  template <class OnDirectory, class OnFiles>
  void list(const std::string& path, OnDirectory&& on_directory, OnFiles&& on_files) {
    const auto where = blocking_([&] { return std::make_shared<const directory>(path); });
    if (where->error() != 0) return failed_.add(path, where->error());
    batch files{where, {}};
    while (const std::size_t size = read(*where)) {
      for (std::size_t at = 0; at < size;) {
        const auto* found = reinterpret_cast<const dirent64*>(buffer_.data() + at);
        at += found->d_reclen;
        const std::string_view name = found->d_name;
        if (name == "." || name == "..") continue;
        const unsigned char type = type_of(*where, *found);
        if (type == DT_DIR) on_directory(where->path_of(name));
        if (type != DT_REG) continue;
        files.names.append(name.data(), name.size() + 1);
        if (files.names.size() >= batch_bytes) on_files(std::exchange(files, batch{where, {}}));
      }
    }
    if (!files.names.empty()) on_files(std::move(files));
  }

 private:
  std::size_t read(const directory& where) {
    const auto [size, error] = blocking_([&] {
      const ssize_t n = ::getdents64(where.descriptor(), buffer_.data(), buffer_.size());
      return std::pair(n, errno);
    });
    if (size < 0) failed_.add(where.path_of(""), error);
    return size < 0 ? 0 : static_cast<std::size_t>(size);
  }

  // Some file systems do not tell the type.
  unsigned char type_of(const directory& where, const dirent64& found) {
    if (found.d_type != DT_UNKNOWN) return found.d_type;
    struct stat status;
    const int result =
        blocking_([&] { return ::fstatat(where.descriptor(), found.d_name, &status, AT_SYMLINK_NOFOLLOW); });
    return static_cast<unsigned char>(result == 0 ? IFTODT(status.st_mode) : +DT_UNKNOWN);
  }

  Blocking blocking_;
  complaints& failed_;
  std::vector<char> buffer_;
};

}  // namespace perf::digest
