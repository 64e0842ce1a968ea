// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "file_watch.hpp"
#include "heddle/mutex.hpp"
#include "heddle/net/endpoint.hpp"

namespace heddle::net {

/// The names that /etc/hosts has (hosts(5)). The file is read once, and again when its time or its size has changed, or
/// another file has taken its place. A line that is not an address and names is left out; a file that cannot be read
/// has no names.
class hosts_file {
 public:
  explicit hosts_file(std::string path) : file_(std::move(path)) {}

  /// The addresses of a name in lower case, with that port, in the file's order. Blocks the fiber only.
  std::vector<endpoint> find(const std::string& name, std::uint16_t port);

 private:
  void read_if_changed();
  void add_line(std::string_view line);

  mutex lock_;
  file_watch file_;
  std::map<std::string, std::vector<endpoint>> names_;
};

/// ASCII letters in lower case.
std::string lower(std::string_view text);

}  // namespace heddle::net
