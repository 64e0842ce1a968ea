// SPDX-License-Identifier: BSL-1.0
#include "heddle/io/shared_stream.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "attempts.hpp"
#include "heddle/io/owned_descriptor.hpp"
#include "outcome.hpp"
#include "stream_core.hpp"

namespace heddle::io {
namespace {

detail::access_kind kind_of(int fd) noexcept {
  int type = 0;
  socklen_t size = sizeof type;
  if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0) return detail::access_kind::shared_socket;
  return detail::is_waitable(fd) ? detail::access_kind::shared : detail::access_kind::unwaitable;
}

/// A terminal once more, in a mode of its own; -1 if that cannot be had. (A master of a pseudo-terminal cannot: to open
/// it makes another pair. Nor can one of another user, after su.)
owned_descriptor open_terminal_again(int fd) {
  unsigned number = 0;
  if (::isatty(fd) == 0 || ::ioctl(fd, TIOCGPTN, &number) == 0) return {};
  const int mode = ::fcntl(fd, F_GETFL) & O_ACCMODE;
  const std::string path = std::to_string(fd).insert(0, "/proc/self/fd/");
  return owned_descriptor(::open(path.c_str(), mode | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
}

}  // namespace

shared_stream shared_stream::of(int fd, std::string name) {
  if (owned_descriptor terminal = open_terminal_again(fd); terminal)
    return shared_stream(
        std::make_unique<detail::named_core>(terminal.release(), detail::access_kind::own, std::move(name)));
  owned_descriptor copy(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
  if (!copy) throw error(detail::last_error(), "use " + name);
  const detail::access_kind kind = kind_of(copy.get());
  return shared_stream(std::make_unique<detail::named_core>(copy.release(), kind, std::move(name)));
}

// Never destroyed: fibers may use them while the process ends.
stream& standard_input() {
  static stream& s = *new shared_stream(shared_stream::of(STDIN_FILENO, "standard input"));
  return s;
}
stream& standard_output() {
  static stream& s = *new shared_stream(shared_stream::of(STDOUT_FILENO, "standard output"));
  return s;
}
stream& standard_error() {
  static stream& s = *new shared_stream(shared_stream::of(STDERR_FILENO, "standard error"));
  return s;
}

}  // namespace heddle::io
