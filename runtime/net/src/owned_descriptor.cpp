// SPDX-License-Identifier: BSL-1.0
#include "heddle/io/owned_descriptor.hpp"

#include <unistd.h>

#include <cerrno>

namespace heddle::io {

void owned_descriptor::reset(int fd) noexcept {
  const int error = errno;
  if (const int old = std::exchange(fd_, fd); old >= 0) ::close(old);
  errno = error;
}

}  // namespace heddle::io
