// SPDX-License-Identifier: BSL-1.0
//
// As much of HTTP and HTML as a crawler of a small site needs.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "heddle/net/dial.hpp"

namespace examples {

struct page {
  int status = 0;
  std::string body;
};

/// GET by HTTP/1.0: the page ends where the connection does. Throws io::error, and std::runtime_error for what is no
/// answer of HTTP or longer than `most` bytes.
inline page fetch_page(const std::string& server, const std::string& path, const heddle::net::limits& l,
                       std::size_t most = 10'000'000) {
  heddle::net::tcp_stream s = heddle::net::dial(server, l);
  s.write("GET " + path + " HTTP/1.0\r\nHost: " + server + "\r\n\r\n", l);
  std::string all;
  std::array<std::byte, 8192> part;
  while (const std::size_t n = s.read_some(part, l)) {
    all.append(reinterpret_cast<const char*>(part.data()), n);
    if (all.size() > most) throw std::runtime_error("GET " + path + ": longer than allowed");
  }
  const std::size_t head = all.find("\r\n\r\n");
  if (!all.starts_with("HTTP/1.") || all.size() < 12 || head == std::string::npos)
    throw std::runtime_error("GET " + path + ": no answer of HTTP");
  return {std::atoi(all.c_str() + 9), all.substr(head + 4)};
}

/// The path that a link on a page leads to; nothing if it leads to another server. Knows ".", ".." and fragments.
inline std::optional<std::string> resolve_link(std::string_view from, std::string_view link) {
  link = link.substr(0, link.find('#'));
  if (link.find(':') != std::string_view::npos || link.starts_with("//")) return std::nullopt;
  if (link.empty()) return std::string(from);
  std::string path(link.starts_with('/') ? "" : from.substr(0, from.rfind('/') + 1));
  path += link;
  std::string simple;
  for (std::size_t at = 0; at < path.size();) {
    const std::size_t end = std::min(path.find('/', at + 1), path.size());
    const std::string_view step = std::string_view(path).substr(at, end - at);
    at = end;
    if (step == "/.")
      simple += at == path.size() ? "/" : "";
    else if (step == "/..")
      simple.erase(simple.empty() ? 0 : simple.rfind('/'));
    else
      simple += step;
  }
  return simple.empty() ? "/" : simple;
}

/// The text in href="...".
inline std::vector<std::string_view> links_of(std::string_view html) {
  constexpr std::string_view mark = "href=\"";
  std::vector<std::string_view> links;
  for (std::size_t at = html.find(mark); at != std::string_view::npos; at = html.find(mark, at)) {
    at += mark.size();
    const std::size_t end = html.find('"', at);
    if (end == std::string_view::npos) break;
    links.push_back(html.substr(at, end - at));
  }
  return links;
}

}  // namespace examples
