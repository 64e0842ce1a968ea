// SPDX-License-Identifier: BSL-1.0
#include "output_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "kept_descriptor.hpp"

namespace heddle::detail {
namespace {

/// The descriptor that the path of keep_output_file() names.
constinit kept_descriptor named;

constexpr int flags = O_WRONLY | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC;

int refuse(int file, int error) noexcept {
  ::close(file);
  errno = error;
  return -1;
}

/// The rest of `path` behind a prefix; null if it begins otherwise.
const char* behind(const char* path, const char* prefix) noexcept {
  const std::size_t n = std::strlen(prefix);
  return std::strncmp(path, prefix, n) == 0 ? path + n : nullptr;
}

/// The descriptor that a path is a name of, or -1.
int descriptor_named(const char* path) noexcept {
  if (std::strcmp(path, "/dev/stdout") == 0) return STDOUT_FILENO;
  if (std::strcmp(path, "/dev/stderr") == 0) return STDERR_FILENO;
  const char* digits = behind(path, "/dev/fd/");
  if (digits == nullptr) digits = behind(path, "/proc/self/fd/");
  if (digits == nullptr || *digits == '\0') return -1;
  int n = 0;
  for (; *digits != '\0'; ++digits) {
    constexpr int most = 100'000'000;
    if (*digits < '0' || *digits > '9' || n > most) return -1;
    n = n * 10 + (*digits - '0');
  }
  return n;
}

/// Not O_NONBLOCK alone: a writer may come before its reader.
int open_existing(const char* path) noexcept {
  constexpr int tries = 500;
  constexpr useconds_t between = 10'000;
  for (int i = 0;; ++i) {
    const int file = ::open(path, flags | O_NONBLOCK);
    if (file >= 0 || errno != ENXIO || i == tries) return file;
    struct stat s {};
    if (::lstat(path, &s) == 0 && (!S_ISFIFO(s.st_mode) || s.st_uid != ::geteuid())) {
      errno = ENXIO;
      return -1;
    }
    ::usleep(between);
  }
}

/// Other threads may still write to stdout and stderr. Where these are closed, that comes nowhere from now on, and not
/// into a file of ours that gets their numbers.
void fill_standard_numbers() noexcept {
  for (int n = 0; n >= 0 && n <= STDERR_FILENO;) {
    n = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    if (n > STDERR_FILENO) ::close(n);
  }
}

}  // namespace

void keep_output_file(const char* path) noexcept {
  if (const int n = descriptor_named(path); n >= 0) named.keep(n);
}

int open_output_file(const char* path) noexcept {
  if (descriptor_named(path) >= 0) {
    if (named.get() < 0) errno = EBADF;
    return named.get();
  }
  fill_standard_numbers();
  // Either nobody had it before, or it is looked at before anything in it is lost.
  int file = ::open(path, flags | O_CREAT | O_EXCL, 0600);
  if (file >= 0 || errno != EEXIST) return file;
  file = open_existing(path);
  if (file < 0) return -1;
  struct stat s {};
  if (::fstat(file, &s) != 0) return refuse(file, errno);
  const bool is_mine = s.st_uid == ::geteuid();
  if (S_ISREG(s.st_mode)) {
    if (!is_mine || s.st_nlink != 1) return refuse(file, EPERM);
    if (::ftruncate(file, 0) != 0) return refuse(file, errno);
  } else if (!S_ISCHR(s.st_mode) && !(S_ISFIFO(s.st_mode) && is_mine)) {
    return refuse(file, EPERM);
  }
  ::fcntl(file, F_SETFL, ::fcntl(file, F_GETFL) & ~O_NONBLOCK);
  return file;
}

}  // namespace heddle::detail
