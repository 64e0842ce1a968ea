// SPDX-License-Identifier: BSL-1.0
//
// HEDDLE_MALLOC=profile=BYTES,profile_file=PATH: the heap profile of a whole program.
#include "../src/heap_profile.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "blocks.hpp"
#include "kept_descriptor.hpp"
#include "options.hpp"
#include "output_file.hpp"

// Where this library begins in memory, and where its code ends: from the linker.
extern "C" const char __ehdr_start[] __attribute__((visibility("hidden")));
extern "C" const char etext[] __attribute__((visibility("hidden")));

namespace heddle::detail {
namespace {

[[gnu::constructor]] void begin() noexcept {
  const int error = errno;
  blocks::deallocate(blocks::allocate(1));  // the options are read with the first block
  the_profile.hide(__ehdr_start, etext);
  if (the_options.profile != 0) {
    keep_output_file(the_options.profile_file);
    if (!the_profile.start(the_options.profile)) std::fputs("heddle_malloc: no memory for the heap profile\n", stderr);
  }
  errno = error;
}

/// Behind the program's own destructors, since the shim has been loaded before it.
[[gnu::destructor]] void end() noexcept {
  if (the_options.profile == 0) return;
  the_profile.stop();
  char name[64];
  const char* path = the_options.profile_file;
  if (*path == '\0') {
    std::snprintf(name, sizeof name, "heddle.%d.heap", static_cast<int>(::getpid()));
    path = name;
  }
  const int file = open_output_file(path);  // not closed: it may be the program's stderr, and the process ends
  const bool good = file >= 0 && the_profile.write(file);
  if (good) return;
  char text[1000];
  std::snprintf(text, sizeof text,
                "heddle_malloc: the heap profile cannot be written to '%s' (%s); symbolic links, and files that belong "
                "to others or have several names, are not written\n",
                path, std::strerror(errno));
  say_at_exit(text);
}

}  // namespace
}  // namespace heddle::detail
