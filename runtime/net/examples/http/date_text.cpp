// SPDX-License-Identifier: BSL-1.0
#include "date_text.hpp"

#include <cstdio>

namespace examples::http {
namespace {

// Not strftime: names of days and months must not depend on the locale.
constexpr std::array<const char*, 7> days{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
constexpr std::array<const char*, 12> months{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                             "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

}  // namespace

std::string date_of(std::time_t when) {
  std::tm t{};
  ::gmtime_r(&when, &t);
  char text[64];
  const int size = std::snprintf(
      text, sizeof text, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[static_cast<std::size_t>(t.tm_wday)], t.tm_mday,
      months[static_cast<std::size_t>(t.tm_mon)], t.tm_year + 1900, t.tm_hour, t.tm_min, t.tm_sec);
  return {text, static_cast<std::size_t>(size)};
}

std::time_t time_of(std::string_view text) noexcept {
  if (text.size() != date_size) return -1;
  char copy[32] = {}, month[4] = {};
  text.copy(copy, sizeof copy - 1);
  std::tm t{};
  int end = 0;
  if (std::sscanf(copy, "%*3s, %2d %3s %4d %2d:%2d:%2d GMT%n", &t.tm_mday, month, &t.tm_year, &t.tm_hour, &t.tm_min,
                  &t.tm_sec, &end) != 6 ||
      end != static_cast<int>(date_size))
    return -1;
  t.tm_year -= 1900;
  for (std::size_t m = 0; m < months.size(); ++m)
    if (std::string_view(months[m]) == month) {
      t.tm_mon = static_cast<int>(m);
      return ::timegm(&t);
    }
  return -1;
}

std::string_view date_text::now() {
  timespec time{};
  ::clock_gettime(CLOCK_REALTIME_COARSE, &time);  // as good as the second's, and without a look at the hardware
  if (time.tv_sec != second_) {
    date_of(time.tv_sec).copy(text_.data(), text_.size());
    second_ = time.tv_sec;
  }
  return {text_.data(), text_.size()};
}

}  // namespace examples::http
