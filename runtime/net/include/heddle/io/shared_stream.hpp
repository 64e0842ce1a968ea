// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>

#include "heddle/io/stream.hpp"

namespace heddle::io {

/// A descriptor that other processes, or other code of this one, have too: what was inherited. Its mode stays as it is,
/// so that nobody else gets EAGAIN, nor the shell when this program has ended. A stream like others otherwise, and also
/// for files and devices.
///
/// Terminals are opened once more, in a mode of their own. Otherwise each attempt is one that does not wait
/// (RWF_NOWAIT, MSG_DONTWAIT). Pipes before Linux 6.4, and terminals that cannot be opened, know no such attempt. There
/// the system is asked whether there is something; if another process then takes it first, the call blocks a kernel
/// thread, but no processor (heddle::blocking), until there is something again: beyond limits, and close() waits for
/// it. Reads of files that are not in memory block likewise.
class HEDDLE_EXPORT shared_stream : public stream {
 public:
  shared_stream() noexcept = default;
  /// Works with a duplicate of the descriptor, which the caller keeps. `name` is for messages. Throws io::error.
  static shared_stream of(int fd, std::string name);

 private:
  explicit shared_stream(std::unique_ptr<detail::stream_core> core) noexcept : stream(std::move(core)) {}
};

/// The process's own, made when they are asked for first, and never destroyed. The bytes of each write() stay together.
/// Nothing is buffered here, and std::cin, std::cout and stdio know nothing of it: what they have read is not there any
/// more, and what they have not written comes later. Throw io::error if there is no such descriptor.
///
///     io::buffered_reader in(io::standard_input());
///     for (std::string_view line : io::lines(in)) io::standard_output().write(answer(line));
HEDDLE_EXPORT stream& standard_input();
HEDDLE_EXPORT stream& standard_output();
HEDDLE_EXPORT stream& standard_error();

}  // namespace heddle::io
