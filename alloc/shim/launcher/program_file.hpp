// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>

#include "refusal.hpp"

namespace heddle::launcher {

/// The file that the name of a program leads to: itself if it has a slash, else the first one in $PATH that may be
/// executed.
std::string find_program(const std::string& name);

/// A file that the kernel maps when a program is started.
struct loaded_file {
  std::string path;
  /// The first argument, which the last #! line gives, blanks and all; empty if there is none.
  std::string argument;
};

/// The file that the kernel maps for `program`: the interpreter of the last of its scripts, /bin/sh for a script
/// without a #! line, as execvp() has it, or itself. Refuses what the kernel does: more than five scripts, each the
/// interpreter of the next, an interpreter that is not there or may not be executed; and what is neither a program nor
/// text.
loaded_file file_loaded_for(const std::string& program);

/// The program that `env` runs if a #! line gives it this argument; empty if that cannot be told, so that only `env` is
/// looked at. Refuses what takes LD_PRELOAD out of its environment.
std::string program_of_env(const loaded_file& env);

/// The loader that an x86-64 program names. Refuses programs that are linked statically, for another machine, or with
/// another C library than glibc.
std::string loader_of(const std::string& path);

}  // namespace heddle::launcher
