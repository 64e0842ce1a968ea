// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/stat.h>

#include <string>
#include <utility>

namespace heddle::net {

/// Tells when a file has to be read again: its time or its size has changed, or another file has taken its place. What
/// is not there counts as a file without anything in it.
class file_watch {
 public:
  explicit file_watch(std::string path) : path_(std::move(path)) {}

  const std::string& path() const noexcept { return path_; }
  /// Looks: whether it is another than at the last was_read(). At first: whether it is there.
  bool has_changed() noexcept;
  /// The change that has_changed() saw has been read.
  void was_read() noexcept { read_ = seen_; }

 private:
  const std::string path_;
  struct ::stat seen_ {
  }, read_{};  // all zero: it was not there
};

}  // namespace heddle::net
