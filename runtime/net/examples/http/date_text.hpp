// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <ctime>
#include <string>
#include <string_view>

namespace examples::http {

/// A time as header fields have it: Sun, 06 Nov 1994 08:49:37 GMT (RFC 9110, section 5.6.7).
std::string date_of(std::time_t when);

/// How long that is, for the years 0 to 9999.
inline constexpr std::size_t date_size = 29;

/// The time that such a text says, -1 if it is none. Only the form of today is known.
std::time_t time_of(std::string_view text) noexcept;

/// The text of this second, made once in each second in which it is asked for.
class date_text {
 public:
  std::string_view now();

 private:
  std::time_t second_ = -1;
  std::array<char, date_size> text_{};
};

}  // namespace examples::http
