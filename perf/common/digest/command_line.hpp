// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/stat.h>

#include <cerrno>
#include <charconv>
#include <string>
#include <string_view>
#include <vector>

#include "common/arguments.hpp"
#include "common/digest/tree.hpp"

namespace perf::digest {

/// `digest [--procs N] [ROOT...]`
struct command_line {
  unsigned procs = 1;
  std::vector<std::string> roots;

  command_line(int argc, char** argv) {
    for (int i = 1; i < argc; ++i) {
      const std::string_view argument = argv[i];
      if (argument == "--procs") {
        const std::string_view text = i + 1 < argc ? argv[++i] : "";
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), procs);
        perf::require(error == std::errc{} && end == text.data() + text.size() && procs > 0, "--procs needs a number");
      } else {
        perf::require(!argument.starts_with("--"), "usage: " + std::string(argv[0]) + " [--procs N] [ROOT...]");
        roots.emplace_back(argument);
      }
    }
    if (roots.empty()) roots = {"/usr/include", "/usr/lib"};
  }
};

/// What a root is, without following a link, as find does: calls on_directory(path) or on_files(batch) or
/// neither.
template <class OnDirectory, class OnFiles>
void look_at_root(const std::string& root, complaints& failed, OnDirectory&& on_directory, OnFiles&& on_files) {
  struct stat status;
  if (::lstat(root.c_str(), &status) != 0) return failed.add(root, errno);
  if (S_ISDIR(status.st_mode)) return on_directory(root);
  if (!S_ISREG(status.st_mode)) return;
  on_files(batch{std::make_shared<const directory>(), root + '\0'});
}

}  // namespace perf::digest
