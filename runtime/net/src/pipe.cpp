// SPDX-License-Identifier: BSL-1.0
#include "heddle/io/pipe.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <climits>

#include "heddle/io/owned_descriptor.hpp"
#include "outcome.hpp"
#include "stream_core.hpp"

namespace heddle::io {

pipe_stream pipe_stream::adopt(int fd, std::string name) {
  owned_descriptor owned(fd);
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) throw error(detail::last_error(), "adopt " + name);
  return pipe_stream(std::make_unique<detail::named_core>(owned.release(), detail::access_kind::own, std::move(name)));
}

pipe_ends pipe(std::size_t capacity) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) throw error(detail::last_error(), "make a pipe");
  owned_descriptor reader(ends[0]), writer(ends[1]);
  if (capacity > INT_MAX || (capacity != 0 && ::fcntl(ends[1], F_SETPIPE_SZ, static_cast<int>(capacity)) < 0))
    throw error(capacity > INT_MAX ? std::make_error_code(std::errc::invalid_argument) : detail::last_error(),
                "make a pipe of " + std::to_string(capacity) + " bytes");
  return {pipe_stream::adopt(reader.release(), "a pipe"), pipe_stream::adopt(writer.release(), "a pipe")};
}

}  // namespace heddle::io
