// SPDX-License-Identifier: BSL-1.0
//
// What can be chosen when the process starts, by HEDDLE_MALLOC=name=value,name,...
#pragma once

#include <cstdint>

#include "heddle/detail/platform.hpp"

namespace heddle::detail {

enum class huge_pages : std::uint8_t {
  as_the_system_says,
  always,  ///< where the kernel can
  never,
};

enum class scavenging : std::uint8_t {
  background,  ///< by calls, or by a thread while memory waits in a program that has threads of its own
  steps,       ///< by calls of the program, never by a thread
  off,         ///< only when release() or malloc_trim() is called
};

struct alloc_options {
  huge_pages pages = huge_pages::as_the_system_says;
  scavenging scavenger = scavenging::background;
  std::uint32_t pace_ms = 1000;  ///< memory that has been free for so long, and no less, is given back
  bool hardened = false;         ///< every call is checked: slower
  bool zero = false;             ///< memory is zeroed when it is allocated
  bool junk = false;             ///< it is filled with 0xa5 then, and with 0x5a when it is freed
  bool stats = false;            ///< printed when the process ends
  std::uint32_t profile = 0;     ///< bytes between two samples of the heap profile; 0: there is none
  char profile_file[512] = "";   ///< where it is written when the process ends, see open_output_file(); empty:
                                 ///< heddle.PID.heap
};

/// Read before the first block is asked for, and not later.
extern alloc_options the_options;

/// What calls do beyond what they are for. With any of it threads show the short paths no cache, so that every call
/// takes the long one, where this is asked; without, no call pays for it.
enum class call_extras : std::uint8_t {
  unread,  ///< the options are not known yet
  none,
  fill,    ///< zero or junk
  checks,  ///< hardened, perhaps with zero or junk
};
extern atomic<call_extras> the_extras_word;

inline call_extras the_extras() noexcept {
  // acquire: so that who sees anything but `unread` sees the options; release half in read_options().
  return the_extras_word.load(std::memory_order_acquire);
}

/// Reads HEDDLE_MALLOC, once; several threads may ask at once. What it does not know, or cannot be, it says on stderr
/// and leaves as it is. In a process that is privileged (see os.hpp) it reads nothing, and says nothing.
void read_options() noexcept;

inline huge_pages huge_pages_wanted() noexcept { return the_options.pages; }

}  // namespace heddle::detail
