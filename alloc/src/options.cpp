// SPDX-License-Identifier: BSL-1.0
#include "options.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "heddle/detail/option_list.hpp"
#include "os.hpp"

namespace heddle::detail {

constinit alloc_options the_options;
constinit atomic<call_extras> the_extras_word{call_extras::unread};

namespace {

constexpr char variable[] = "HEDDLE_MALLOC";

template <bool alloc_options::*Member>
void set_switch(alloc_options& o, const option_value& value) {
  o.*Member = value.number != 0;
}

constexpr std::uint64_t ms = 1'000'000;

constexpr option_entry<alloc_options> table[] = {
    {{.name = "stats",
      .form = option_form::on_off,
      .default_value = "off",
      .meaning = "prints statistics when the process ends"},
     set_switch<&alloc_options::stats>},
    {{.name = "hardened",
      .form = option_form::on_off,
      .default_value = "off",
      .meaning = "checks every call, and finds corruption: slower"},
     set_switch<&alloc_options::hardened>},
    {{.name = "zero",
      .form = option_form::on_off,
      .default_value = "off",
      .meaning = "memory is zeroed when it is allocated"},
     set_switch<&alloc_options::zero>},
    {{.name = "junk",
      .form = option_form::on_off,
      .default_value = "off",
      .meaning = "memory is filled with 0xa5 when it is allocated, with 0x5a when it is freed"},
     set_switch<&alloc_options::junk>},
    {{.name = "scavenger",
      .form = option_form::word,
      .words = "background|steps|off",
      .default_value = "background",
      .meaning = "what gives memory back to the system: calls and a thread, calls alone, or nothing"},
     [](alloc_options& o, const option_value& value) { o.scavenger = static_cast<scavenging>(value.number); }},
    {{.name = "pace",
      .form = option_form::duration,
      .least = 1 * ms,
      .most = 3'600'000 * ms,
      .unit = ms,
      .default_value = "1s",
      .meaning = "memory that has been free for so long is given back"},
     [](alloc_options& o, const option_value& value) { o.pace_ms = static_cast<std::uint32_t>(value.number / ms); }},
    {{.name = "huge_pages",
      .form = option_form::word,
      .words = "system|always|never",
      .default_value = "system",
      .meaning = "transparent huge pages: as the system says, wherever possible, or nowhere"},
     [](alloc_options& o, const option_value& value) { o.pages = static_cast<huge_pages>(value.number); }},
    {{.name = "profile",
      .form = option_form::bytes,
      .least = 1,
      .most = UINT32_MAX,
      .meaning = "a heap profile, with a sample each so many bytes"},
     [](alloc_options& o, const option_value& value) { o.profile = static_cast<std::uint32_t>(value.number); }},
    {{.name = "profile_file",
      .form = option_form::text,
      .most = sizeof(alloc_options::profile_file) - 1,
      .default_value = "heddle.PID.heap",
      .meaning = "where the heap profile is written when the process ends"},
     [](alloc_options& o, const option_value& value) {
       std::memcpy(o.profile_file, value.text.data(), value.text.size());
       o.profile_file[value.text.size()] = '\0';
     }},
};
// The words of the table are numbered as these are.
static_assert(static_cast<int>(scavenging::background) == 0 && static_cast<int>(scavenging::steps) == 1 &&
              static_cast<int>(scavenging::off) == 2);
static_assert(static_cast<int>(huge_pages::as_the_system_says) == 0 && static_cast<int>(huge_pages::always) == 1 &&
              static_cast<int>(huge_pages::never) == 2);

void read_all(const char* text) noexcept { read_option_list(variable, text, table, the_options); }

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
