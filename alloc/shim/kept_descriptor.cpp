// SPDX-License-Identifier: BSL-1.0
#include "kept_descriptor.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <initializer_list>

#include "blocks.hpp"
#include "options.hpp"
#include "when_relocated.hpp"

/// Which of the numbers 0 to 2 are closed when the process begins. Constructors of libraries may open files before ours
/// are called.
static constinit bool heddle_begins_closed[STDERR_FILENO + 1];

/// By the system call: fcntl() may be the program's, which is not relocated yet.
static void heddle_look_at_descriptors() {
  for (int n = 0; n <= STDERR_FILENO; ++n) {
    long result = SYS_fcntl;
    asm volatile("syscall" : "+a"(result) : "D"(n), "S"(F_GETFD) : "rcx", "r11", "memory");
    heddle_begins_closed[n] = result == -EBADF;
  }
}
HEDDLE_WHEN_RELOCATED(heddle_look_at_descriptors)

namespace heddle::detail {

constinit kept_descriptor the_stderr;

void kept_descriptor::keep(int descriptor) noexcept {
  constexpr int beyond_others = 1000;  // smaller numbers stay free for the program
  struct stat s {};
  if (descriptor <= STDERR_FILENO && heddle_begins_closed[descriptor]) return;
  if (::fstat(descriptor, &s) != 0) return;
  original_ = descriptor;
  device_ = s.st_dev, special_ = s.st_rdev, number_ = s.st_ino;
  copy_ = ::fcntl(descriptor, F_DUPFD_CLOEXEC, beyond_others);
  if (copy_ < 0) copy_ = ::fcntl(descriptor, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
}

bool kept_descriptor::is_same(int descriptor) const noexcept {
  struct stat s {};
  return descriptor >= 0 && ::fstat(descriptor, &s) == 0 && s.st_dev == device_ && s.st_rdev == special_ &&
         s.st_ino == number_;
}

int kept_descriptor::get() const noexcept {
  // Some programs close all numbers, the copy's with them, and then use them for their own files.
  for (const int candidate : {copy_, original_})
    if (is_same(candidate)) return candidate;
  return -1;
}

void say_at_exit(const char* text) noexcept {
  [[maybe_unused]] const auto written = ::write(the_stderr.get(), text, std::strlen(text));
}

namespace {

[[gnu::constructor]] void keep_stderr() noexcept {
  const int error = errno;
  blocks::deallocate(blocks::allocate(1));  // the options are read with the first block
  if (the_options.stats || the_options.profile != 0) the_stderr.keep(STDERR_FILENO);
  errno = error;
}

}  // namespace
}  // namespace heddle::detail
