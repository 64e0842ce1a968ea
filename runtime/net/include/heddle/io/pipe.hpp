// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <string>

#include "heddle/io/stream.hpp"

namespace heddle::io {

/// One end of a pipe, or another descriptor that only this process works with, such as a terminal that it has opened.
class HEDDLE_EXPORT pipe_stream : public stream {
 public:
  pipe_stream() noexcept = default;
  /// Takes a descriptor, and sets it to non-blocking mode. (For one that others have too: shared_stream.) `name` is for
  /// messages. Throws io::error, and closes it then.
  static pipe_stream adopt(int fd, std::string name);

 private:
  explicit pipe_stream(std::unique_ptr<detail::stream_core> core) noexcept : stream(std::move(core)) {}
};

struct pipe_ends {
  pipe_stream reader;  ///< ends when nobody has the writer any more
  pipe_stream writer;  ///< std::errc::broken_pipe when nobody has the reader
};

/// A pipe of this process, closed on exec. `capacity`: bytes that fit into it, rounded up by the system; 0: as many as
/// the system likes, 64 KiB. Throws io::error.
HEDDLE_EXPORT pipe_ends pipe(std::size_t capacity = 0);

}  // namespace heddle::io
