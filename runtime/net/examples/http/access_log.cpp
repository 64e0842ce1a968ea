// SPDX-License-Identifier: BSL-1.0
#include "access_log.hpp"

#include <unistd.h>

#include <array>
#include <cstdio>
#include <ctime>

#include <heddle/blocking.hpp>

namespace examples::http {
namespace {

void append_escaped(std::string& line, std::string_view text) {
  if (text.empty()) line += '-';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 32 && byte < 127 && c != '"' && c != '\\') {
      line += c;
      continue;
    }
    char code[8];
    line.append(code,
                static_cast<std::size_t>(std::snprintf(code, sizeof code, "\\x%02X", static_cast<unsigned>(byte))));
  }
}

void append_time(std::string& line) {
  static constexpr std::array<const char*, 12> months{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::time_t now = std::time(nullptr);
  std::tm t{};
  ::gmtime_r(&now, &t);
  char text[64];
  line.append(text, static_cast<std::size_t>(std::snprintf(text, sizeof text, "[%02d/%s/%04d:%02d:%02d:%02d +0000]",
                                                           t.tm_mday, months[static_cast<std::size_t>(t.tm_mon)],
                                                           t.tm_year + 1900, t.tm_hour, t.tm_min, t.tm_sec)));
}

}  // namespace

std::string combined_line(const log_entry& entry) {
  std::string line;
  append_escaped(line, entry.client);
  line += " - - ";
  append_time(line);
  line += " \"";
  append_escaped(line, entry.method);
  line += ' ';
  append_escaped(line, entry.target);
  line += entry.version == 10 ? " HTTP/1.0\" " : " HTTP/1.1\" ";
  line += std::to_string(entry.status) + ' ' + std::to_string(entry.bytes) + " \"";
  append_escaped(line, entry.referer);
  line += "\" \"";
  append_escaped(line, entry.agent);
  line += "\"\n";
  return line;
}

access_log log_to(int descriptor) {
  return [descriptor](const log_entry& entry) {
    const std::string line = combined_line(entry);
    // A log that cannot be written stops no server.
    static_cast<void>(heddle::blocking([&] { return ::write(descriptor, line.data(), line.size()); }));
  };
}

}  // namespace examples::http
