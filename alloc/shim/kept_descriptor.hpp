// SPDX-License-Identifier: BSL-1.0
//
// Where to write when the process ends. By then the program may have closed a descriptor with which it began, and its
// number may be that of a file of the program's, which must not be written. The same holds for a descriptor that was
// closed when it began.
#pragma once

#include <sys/types.h>

namespace heddle::detail {

/// A descriptor as it is when the process begins. An example:
///
///     constinit kept_descriptor log;
///     log.keep(STDERR_FILENO);        // as the process begins
///     write(log.get(), "...", 3);     // as it ends; nothing is written if get() is -1
class kept_descriptor {
 public:
  /// Remembers where `descriptor` writes, and makes a copy of it with a number which programs do not count on; nothing
  /// if it is closed.
  void keep(int descriptor) noexcept;

  /// A descriptor that still writes there; -1 if there is none, or was none.
  int get() const noexcept;

 private:
  bool is_same(int descriptor) const noexcept;

  int original_ = -1;
  int copy_ = -1;
  dev_t device_ = 0;
  dev_t special_ = 0;
  ino_t number_ = 0;
};

/// stderr, kept if an option has something written at the end.
extern kept_descriptor the_stderr;

/// Writes a message there.
void say_at_exit(const char* text) noexcept;

}  // namespace heddle::detail
