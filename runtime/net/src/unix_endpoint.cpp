// SPDX-License-Identifier: BSL-1.0
#include "heddle/net/unix_endpoint.hpp"

#include <cstring>
#include <stdexcept>

namespace heddle::net {
namespace {

void check(std::string_view text, const char* kind) {
  const auto refuse = [&](const std::string& why) {
    throw std::invalid_argument("heddle::net::unix_endpoint: the " + std::string(kind) + " " + why + ": \"" +
                                std::string(text) + "\"");
  };
  if (text.size() > unix_endpoint::longest)
    refuse("has " + std::to_string(text.size()) + " bytes, and the system takes " +
           std::to_string(unix_endpoint::longest));
  if (text.empty()) refuse("is empty");
}

}  // namespace

unix_endpoint::unix_endpoint(std::string_view path) : unix_endpoint() {
  check(path, "path");
  if (path.find('\0') != std::string_view::npos)
    throw std::invalid_argument("heddle::net::unix_endpoint: the path has a zero byte: \"" + std::string(path.data()) +
                                "\"");
  assign(path, 0);
  ++size_;  // with the zero behind it
}

unix_endpoint unix_endpoint::abstract(std::string_view name) {
  check(name, "abstract name");
  unix_endpoint e;
  e.assign(name, 1);
  return e;
}

void unix_endpoint::assign(std::string_view text, std::size_t at) {
  text.copy(address_.sun_path + at, text.size());
  size_ = static_cast<socklen_t>(path_offset + at + text.size());
}

std::string_view unix_endpoint::name() const noexcept {
  if (size_ <= path_offset) return {};
  if (is_abstract()) return {address_.sun_path + 1, size_ - path_offset - 1};
  return {address_.sun_path, ::strnlen(address_.sun_path, size_ - path_offset)};
}

std::string unix_endpoint::to_string() const {
  if (is_unnamed()) return "an unnamed socket";
  std::string text(is_abstract() ? "@" : "");
  return text.append(name());
}

}  // namespace heddle::net
