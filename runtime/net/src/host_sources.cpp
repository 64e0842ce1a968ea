// SPDX-License-Identifier: BSL-1.0
#include "host_sources.hpp"

#include <algorithm>
#include <fstream>
#include <mutex>

#include "heddle/blocking.hpp"

namespace heddle::net {
namespace {

constexpr std::string_view blanks = " \t\r\v\f";

/// The sources that a line of the file has for hosts, or nothing if it is another one.
std::string_view sources_of_hosts(std::string_view line) noexcept {
  line = line.substr(0, line.find('#'));
  line.remove_prefix(std::min(line.find_first_not_of(blanks), line.size()));
  constexpr std::string_view key = "hosts";
  if (!line.starts_with(key)) return {};
  line.remove_prefix(key.size());
  line.remove_prefix(std::min(line.find_first_not_of(blanks), line.size()));
  return line.starts_with(':') ? line.substr(1) : std::string_view();
}

}  // namespace

bool names_only_files_and_dns(std::string_view sources) noexcept {
  bool names_dns = false, names_any = false;
  for (;;) {
    sources.remove_prefix(std::min(sources.find_first_not_of(blanks), sources.size()));
    if (sources.empty()) return names_dns || !names_any;
    const std::string_view word = sources.substr(0, sources.find_first_of(blanks));
    sources.remove_prefix(word.size());
    names_any = true;
    if (word == "dns")
      names_dns = true;
    else if (word != "files")
      return false;
  }
}

bool host_sources::are_files_and_dns() {
  const std::lock_guard hold(lock_);
  if (file_.has_changed()) {
    bool found = true;
    blocking([&] {
      std::ifstream file(file_.path());
      for (std::string line; std::getline(file, line);)
        if (const std::string_view sources = sources_of_hosts(line); !sources.empty())
          found = names_only_files_and_dns(sources);
    });
    files_and_dns_ = found;
    file_.was_read();
  }
  return files_and_dns_;
}

}  // namespace heddle::net
