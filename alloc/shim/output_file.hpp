// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace heddle::detail {

/// To be called as the process begins: a descriptor that `path` names is that of then.
void keep_output_file(const char* path) noexcept;

/// Opens a file that an option names, for writing, as the process ends: a descriptor that is closed in programs that
/// this process executes, or -1 with errno. It is none of the numbers 0 to 2, to which others write; those of them that
/// are closed lead to /dev/null from then on. A name of a descriptor must have been given to keep_output_file(); what
/// is returned then is not the caller's to close.
///
/// - A file that is not there is made, for its owner alone (mode 0600).
/// - A regular file is written anew if it belongs to the effective user and has no other name; else EPERM.
/// - A symbolic link is not followed (ELOOP). The names of descriptors, /dev/stdout, /dev/stderr, /dev/fd/N and
///   /proc/self/fd/N, are links as well: they stand for the descriptor that the process began with, written where it
///   stands (EBADF if it is closed).
/// - A named pipe of the effective user is written if a reader comes within five seconds (else ENXIO).
/// - A character device is written; a directory, a disk or a socket is refused (EISDIR, EPERM, ENXIO).
int open_output_file(const char* path) noexcept;

}  // namespace heddle::detail
