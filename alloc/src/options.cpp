// SPDX-License-Identifier: BSL-1.0
#include "options.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "os.hpp"

namespace heddle::detail {

constinit alloc_options the_options;
constinit atomic<call_extras> the_extras_word{call_extras::unread};

namespace {

constexpr char variable[] = "HEDDLE_MALLOC";

/// A part of the variable's value.
struct text {
  const char* begin;
  std::size_t length;
  bool is(const char* word) const noexcept {
    return length == std::strlen(word) && std::memcmp(begin, word, length) == 0;
  }
};

void complain(const text& option, const char* what) noexcept {
  char line[256];
  const int n = std::snprintf(line, sizeof line, "heddle_malloc: %s: option '%.*s' %s\n", variable,
                              static_cast<int>(std::min<std::size_t>(option.length, 80)), option.begin, what);
  if (n > 0) [[maybe_unused]]
    const auto written =
        ::write(STDERR_FILENO, line, std::min<std::size_t>(static_cast<std::size_t>(n), sizeof line - 1));
}

constexpr char all_options[] =
    "is unknown; there are stats, hardened, zero, junk, scavenger=background|steps|off, pace=MILLISECONDS, "
    "huge_pages=system|always|never, profile=BYTES, profile_file=PATH";

/// A switch: alone, or =1 or =0.
bool read_switch(const text& value, bool& to) noexcept {
  if (value.begin == nullptr || value.is("1") || value.is("on") || value.is("yes") || value.is("true"))
    return to = true;
  to = false;
  return value.is("0") || value.is("off") || value.is("no") || value.is("false");
}

bool read_number(const text& value, std::uint32_t least, std::uint32_t most, std::uint32_t& to) noexcept {
  std::uint64_t n = 0;
  if (value.begin == nullptr || value.length == 0 || value.length > 10) return false;
  for (std::size_t i = 0; i != value.length; ++i) {
    if (value.begin[i] < '0' || value.begin[i] > '9') return false;
    n = n * 10 + static_cast<std::uint64_t>(value.begin[i] - '0');
  }
  if (n < least || n > most) return false;
  to = static_cast<std::uint32_t>(n);
  return true;
}

/// `value`: null if there is none.
void read_option(const text& whole, const text& name, const text& value) noexcept {
  alloc_options& o = the_options;
  const auto switched = [&](bool& to) {
    if (!read_switch(value, to)) complain(whole, "must be given alone, or as =1 or =0");
  };
  if (name.is("stats")) return switched(o.stats);
  if (name.is("hardened")) return switched(o.hardened);
  if (name.is("zero")) return switched(o.zero);
  if (name.is("junk")) return switched(o.junk);
  if (name.is("scavenger")) {
    if (value.begin != nullptr && value.is("background")) return void(o.scavenger = scavenging::background);
    if (value.begin != nullptr && value.is("steps")) return void(o.scavenger = scavenging::steps);
    if (value.begin != nullptr && value.is("off")) return void(o.scavenger = scavenging::off);
    return complain(whole, "must be scavenger=background, =steps or =off");
  }
  if (name.is("pace")) {
    if (!read_number(value, 1, 3'600'000, o.pace_ms)) complain(whole, "must be pace=MILLISECONDS, 1 to 3600000");
    return;
  }
  if (name.is("huge_pages")) {
    if (value.begin != nullptr && value.is("system")) return void(o.pages = huge_pages::as_the_system_says);
    if (value.begin != nullptr && value.is("always")) return void(o.pages = huge_pages::always);
    if (value.begin != nullptr && value.is("never")) return void(o.pages = huge_pages::never);
    return complain(whole, "must be huge_pages=system, =always or =never");
  }
  if (name.is("profile")) {
    if (!read_number(value, 1, UINT32_MAX, o.profile)) complain(whole, "must be profile=BYTES, 1 to 4294967295");
    return;
  }
  if (name.is("profile_file")) {
    if (value.begin == nullptr || value.length == 0 || value.length >= sizeof o.profile_file)
      return complain(whole, "must be profile_file=PATH, at most 511 characters without a comma");
    std::memcpy(o.profile_file, value.begin, value.length);
    o.profile_file[value.length] = '\0';
    return;
  }
  complain(whole, all_options);
}

void read_all(const char* s) noexcept {
  while (*s != '\0') {
    const std::size_t length = std::strcspn(s, ",");
    const text whole{s, length};
    const std::size_t name_length = std::min(std::strcspn(s, "="), length);
    const text name{s, name_length};
    const text value = name_length == length ? text{nullptr, 0} : text{s + name_length + 1, length - name_length - 1};
    if (length != 0) read_option(whole, name, value);
    s += length + (s[length] == ',');
  }
}

/// Before libc has been initialised its environ is not there yet, but the kernel's copy is.
bool read_from_kernel(char* buffer, std::size_t size) noexcept {
  const int file = ::open("/proc/self/environ", O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  std::size_t length = 0;
  const std::size_t name = sizeof variable - 1;
  bool found = false;
  for (ssize_t n = 1; n > 0 && !found;) {
    n = ::read(file, buffer + length, size - 1 - length);
    length += n > 0 ? static_cast<std::size_t>(n) : 0;
    buffer[length] = '\0';
    // Whole variables are looked at and dropped, so that there is room for the rest.
    std::size_t at = 0;
    for (std::size_t end = 0; !found && (end = at + ::strnlen(buffer + at, length - at)) < length; at = end + 1)
      if (std::strncmp(buffer + at, variable, name) == 0 && buffer[at + name] == '=') {
        std::memmove(buffer, buffer + at + name + 1, end - at - name);
        found = true;
      }
    if (found) break;
    if (at == 0 && length == size - 1) at = length;  // a longer one than the buffer: not ours
    std::memmove(buffer, buffer + at, length - at);
    length -= at;
  }
  ::close(file);
  return found;
}

}  // namespace

void read_options() noexcept {
  static constinit atomic<bool> begun{false};
  if (begun.exchange(true, std::memory_order_relaxed)) {
    // Another thread reads. It allocates nothing, so it does not come by here itself.
    while (the_extras() == call_extras::unread) platform::yield_thread();
    return;
  }
  const int errno_before = errno;
  if (os::is_privileged()) {
    // Its starter would have files written, memory used and words said with rights that are not the starter's.
  } else if (environ != nullptr) {
    if (const char* const value = std::getenv(variable); value != nullptr) read_all(value);
  } else {
    char buffer[2048];
    if (read_from_kernel(buffer, sizeof buffer)) read_all(buffer);
  }
  errno = errno_before;
  const alloc_options& o = the_options;
  const call_extras wanted = o.hardened         ? call_extras::checks
                             : o.zero || o.junk ? call_extras::fill
                                                : call_extras::none;
  // release: so that who sees that they are known sees them; acquire half in the_extras().
  the_extras_word.store(wanted, std::memory_order_release);
}

}  // namespace heddle::detail
