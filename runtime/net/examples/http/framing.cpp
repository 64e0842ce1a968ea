// SPDX-License-Identifier: BSL-1.0
#include "framing.hpp"

#include <algorithm>

namespace examples::http {
namespace {

constexpr unsigned bad_request = 400, not_implemented = 501;

constexpr char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

std::string_view trimmed(std::string_view text) noexcept {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

/// The statements of a header about its message's length.
struct framing {
  unsigned hosts = 0, lengths = 0, codings = 0;
  std::string_view length, coding;

  void note(std::string_view name, std::string_view value) noexcept {
    switch (name.size()) {  // most names are none of these
      case 4: return found(name, "Host", hosts, nullptr, value);
      case 14: return found(name, "Content-Length", lengths, &length, value);
      case 17: return found(name, "Transfer-Encoding", codings, &coding, value);
    }
  }

  unsigned refuse(bool http_1_1) const noexcept {
    if (hosts > 1 || (http_1_1 && hosts == 0)) return bad_request;
    if (lengths + codings > 1) return bad_request;
    if (lengths == 1) {
      const bool digits = std::all_of(length.begin(), length.end(), [](char c) { return c >= '0' && c <= '9'; });
      return length.empty() || !digits ? bad_request : 0;
    }
    if (codings == 0 || (http_1_1 && same_text(coding, "chunked"))) return 0;
    const auto last = trimmed(coding.substr(coding.rfind(',') + 1));  // all of it if there is none
    return http_1_1 && same_text(last, "chunked") ? not_implemented : bad_request;
  }

 private:
  static void found(std::string_view name, std::string_view known, unsigned& count, std::string_view* text,
                    std::string_view value) noexcept {
    if (!same_text(name, known)) return;
    ++count;
    if (text != nullptr) *text = trimmed(value);
  }
};

/// Reads a header from its front, line by line.
class line_reader {
 public:
  explicit line_reader(std::string_view header) noexcept : rest_(header) {}

  bool at_end() const noexcept { return rest_.empty(); }

  /// The next line without its end. False: it has a control character, or ends in LF alone.
  bool next(std::string_view& line) noexcept {
    std::size_t i = 0;
    while (i < rest_.size() && is_text(rest_[i])) ++i;
    if (i + 1 >= rest_.size() || rest_[i] != '\r' || rest_[i + 1] != '\n') return false;
    line = rest_.substr(0, i);
    rest_.remove_prefix(i + 2);
    return true;
  }

 private:
  static bool is_text(char c) noexcept {
    const auto byte = static_cast<unsigned char>(c);
    return byte == '\t' || (byte >= 32 && byte != 127);
  }

  std::string_view rest_;
};

/// Where the name ends; npos: the line is no field. A space in front is of a line that goes on.
std::size_t end_of_name(std::string_view line) noexcept {
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == ':') return i == 0 ? std::string_view::npos : i;
    if (line[i] == ' ' || line[i] == '\t') break;
  }
  return std::string_view::npos;
}

}  // namespace

bool same_text(std::string_view a, std::string_view b) noexcept {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return lower(x) == lower(y); });
}

unsigned refuse_header(std::string_view header) noexcept {
  line_reader lines(header);
  std::string_view line;
  if (!lines.next(line) || line.find('\t') != std::string_view::npos) return bad_request;
  const bool http_1_1 = !line.ends_with("HTTP/1.0");
  framing found;
  for (;;) {
    if (!lines.next(line)) return bad_request;
    if (line.empty()) break;
    const auto colon = end_of_name(line);
    if (colon == std::string_view::npos) return bad_request;
    found.note(line.substr(0, colon), line.substr(colon + 1));
  }
  return lines.at_end() ? found.refuse(http_1_1) : bad_request;
}

}  // namespace examples::http
