// SPDX-License-Identifier: BSL-1.0
#include "file_watch.hpp"

namespace heddle::net {

bool file_watch::has_changed() noexcept {
  if (::stat(path_.c_str(), &seen_) != 0) seen_ = {};
  const struct ::stat &a = seen_, &b = read_;
  return a.st_dev != b.st_dev || a.st_ino != b.st_ino || a.st_size != b.st_size ||
         a.st_mtim.tv_sec != b.st_mtim.tv_sec || a.st_mtim.tv_nsec != b.st_mtim.tv_nsec;
}

}  // namespace heddle::net
