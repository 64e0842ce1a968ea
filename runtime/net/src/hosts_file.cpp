// SPDX-License-Identifier: BSL-1.0
#include "hosts_file.hpp"

#include <fstream>
#include <mutex>
#include <optional>

#include "heddle/blocking.hpp"

namespace heddle::net {
namespace {

constexpr std::string_view blanks = " \t\r\v\f";

/// Takes the first word off the front.
std::string_view take_word(std::string_view& text) noexcept {
  const std::size_t begin = std::min(text.find_first_not_of(blanks), text.size());
  text.remove_prefix(begin);
  const std::string_view word = text.substr(0, text.find_first_of(blanks));
  text.remove_prefix(word.size());
  return word;
}

}  // namespace

std::string lower(std::string_view text) {
  std::string s(text);
  for (char& c : s)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return s;
}

std::vector<endpoint> hosts_file::find(const std::string& name, std::uint16_t port) {
  const std::lock_guard hold(lock_);
  read_if_changed();
  const auto at = names_.find(name);
  if (at == names_.end()) return {};
  std::vector<endpoint> found = at->second;
  for (endpoint& e : found) e.port(port);
  return found;
}

void hosts_file::read_if_changed() {
  if (!file_.has_changed()) return;
  names_.clear();
  // Such files may have 100,000 lines, of hosts that a user does not want to reach.
  blocking([&] {
    std::ifstream file(file_.path());
    for (std::string line; std::getline(file, line);) add_line(line);
  });
  file_.was_read();
}

void hosts_file::add_line(std::string_view line) {
  line = line.substr(0, line.find('#'));
  const std::string host(take_word(line));
  auto address = endpoint::try_parse(host + ":0");
  if (!address) address = endpoint::try_parse("[" + host + "]:0");
  if (!address) return;
  for (std::string_view name = take_word(line); !name.empty(); name = take_word(line))
    names_[lower(name)].push_back(*address);
}

}  // namespace heddle::net
