// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <string_view>

#include "file_watch.hpp"
#include "heddle/mutex.hpp"

namespace heddle::net {

/// Whether a line of nsswitch.conf (nsswitch.conf(5)) names `dns`, and beside it nothing but `files`: no other source
/// of hosts, and no reaction to what one of them says. Empty, the C library's default: true.
bool names_only_files_and_dns(std::string_view sources) noexcept;

/// Where the system looks for hosts. The file is read once, and again when it has changed.
class host_sources {
 public:
  explicit host_sources(std::string path) : file_(std::move(path)) {}

  /// Whether those are the hosts file and name servers, and nothing else. Blocks the fiber only.
  bool are_files_and_dns();

 private:
  mutex lock_;
  file_watch file_;
  bool files_and_dns_ = true;
};

}  // namespace heddle::net
