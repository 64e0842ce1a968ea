// SPDX-License-Identifier: BSL-1.0
//
// heddle-malloc: runs a program with heddle's malloc, having made sure that it will take it. See its --help.
#include <fcntl.h>
#include <paths.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "program_file.hpp"
#include "refusal.hpp"
#include "rights.hpp"

using namespace heddle::launcher;
using kind = refusal::kind;

namespace {

constexpr char usage[] =
    R"(Usage: heddle-malloc [--quiet] [--option NAME[=VALUE]]... PROGRAM [ARGUMENT]...

Runs PROGRAM with libheddle_malloc.so preloaded, and says on stderr that it does; or why that cannot be, and ends with
status 125 then. The file that the kernel loads counts: for a script its interpreter, or that one's, and so on;
for a script without a #! line /bin/sh; for `#!/usr/bin/env NAME` NAME too. The preload would be ignored in silence by

  - a program that is linked statically, for another machine than x86-64, or with another C library than glibc;
  - a program that gets rights which you have not: one of another user (set-user-ID) or group (set-group-ID), or one with
    capabilities of its file, unless you are root. A set-user-ID program of your own runs, and so does any of these from a
    file system that is mounted with nosuid.

  --quiet                  says nothing if all is well
  --option NAME[=VALUE]    as in HEDDLE_MALLOC=NAME=VALUE,...: stats, hardened, zero, junk, scavenger=background|steps|off,
                           pace=MILLISECONDS, huge_pages=system|always|never, profile=BYTES, profile_file=PATH; may be
                           given again
  --help                   this text

Exit status: that of PROGRAM; 125 if it was not run; 126 or 127 if it cannot be run or found.
)";

constexpr char library_name[] = "libheddle_malloc.so";

/// Beside this program, or where an installation has it.
std::string find_library() {
  std::error_code error;
  const auto here = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
  for (const char* folder : {".", "../lib/x86_64-linux-gnu", "../lib", "../lib64"}) {
    const auto library = std::filesystem::canonical(here / folder / library_name, error);
    if (error) continue;
    if (library.native().find_first_of(" :") != std::string::npos)
      throw refusal{kind::no_preload, library.native() + ": LD_PRELOAD cannot name a path with a blank or a colon"};
    return library;
  }
  throw refusal{kind::no_preload,
                std::string(library_name) + " is neither beside " + here.native() + "/heddle-malloc nor in ../lib"};
}

/// The output of a command on stdout and stderr.
std::string output_of(std::vector<std::string> command) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw refusal{kind::no_preload, std::string("a pipe: ") + std::strerror(errno)};
  std::vector<char*> arguments;
  for (std::string& word : command) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
  pid_t child = -1;
  const int error = ::posix_spawn(&child, arguments[0], &actions, nullptr, arguments.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  std::string said;
  char part[4096];
  for (ssize_t n; (n = ::read(ends[0], part, sizeof part)) > 0;) said.append(part, static_cast<std::size_t>(n));
  ::close(ends[0]);
  if (error != 0) throw refusal{kind::no_preload, command[0] + ": " + std::strerror(error)};
  ::waitpid(child, nullptr, 0);
  return said;
}

/// Asks the program's own loader to list what it would map.
void require_taken(const std::string& loader, const std::string& library, const std::string& path) {
  const std::string said = output_of({loader, "--preload", library, "--list", path});
  if (said.find("\t" + library + " (") != said.npos) return;
  const std::size_t complaint = said.find("ERROR: ");
  throw refusal{kind::no_preload,
                library + " is not taken by " + path + ": " + said.substr(complaint == said.npos ? 0 : complaint)};
}

/// Makes sure that all processes take the library which start for `program` before it does something of its own.
void require_preload(const std::string& program, const std::string& library, int depth = 0) {
  constexpr int most_envs = 5;
  const loaded_file file = file_loaded_for(program);
  if (const std::string why = becomes_secure(file.path); !why.empty())
    throw refusal{kind::no_preload, file.path + " " + why + ", so the system ignores preloads"};
  require_taken(loader_of(file.path), library, file.path);
  if (file.path.substr(file.path.rfind('/') + 1) != "env" || depth == most_envs) return;
  if (const std::string next = program_of_env(file); !next.empty())
    require_preload(find_program(next), library, depth + 1);
}

void add_to_variable(const char* name, const std::string& value, char separator, bool first) {
  const char* const old = std::getenv(name);
  std::string all = value;
  if (old != nullptr && *old != '\0') all = first ? value + separator + old : old + (separator + value);
  ::setenv(name, all.c_str(), 1);
}

/// Does not return but for a refusal. A file that the kernel does not take for a program is given to the shell, as by
/// execvp().
[[noreturn]] void execute(const std::string& program, char** arguments) {
  ::execv(program.c_str(), arguments);
  if (errno == ENOEXEC) {
    std::string path = program, shell = "sh";
    std::vector<char*> words{shell.data(), path.data()};
    for (char** word = arguments + 1; *word != nullptr; ++word) words.push_back(*word);
    words.push_back(nullptr);
    ::execv(_PATH_BSHELL, words.data());
  }
  throw refusal{kind::not_runnable, program + ": " + std::strerror(errno)};
}

[[noreturn]] void misused(const std::string& words) {
  throw refusal{kind::no_preload, words + "; see heddle-malloc --help"};
}

/// The index of PROGRAM in the command line.
int read_options(char** argv, bool& quiet) {
  for (int i = 1; argv[i] != nullptr; ++i) {
    const std::string word = argv[i];
    if (word == "--quiet") {
      quiet = true;
    } else if (word == "--option") {
      if (argv[++i] == nullptr) misused("--option needs NAME or NAME=VALUE");
      add_to_variable("HEDDLE_MALLOC", argv[i], ',', false);
    } else if (word.rfind("--option=", 0) == 0) {
      add_to_variable("HEDDLE_MALLOC", word.substr(9), ',', false);
    } else if (word == "-h" || word == "--help") {
      std::fputs(usage, stdout);
      std::exit(std::fflush(stdout) == 0 ? 0 : 125);
    } else if (word == "--") {
      if (argv[++i] == nullptr) break;
      return i;
    } else if (word[0] == '-') {
      misused("unknown option '" + word + "'");
    } else {
      return i;
    }
  }
  misused("no program");
}

}  // namespace

int main(int, char** argv) try {
  bool quiet = false;
  const int first = read_options(argv, quiet);
  const std::string library = find_library();
  const std::string program = find_program(argv[first]);
  require_preload(program, library);
  if (!quiet) std::fprintf(stderr, "heddle-malloc: %s runs with %s\n", program.c_str(), library.c_str());
  add_to_variable("LD_PRELOAD", library, ':', true);
  execute(program, argv + first);
} catch (const refusal& r) {
  std::fprintf(stderr, "heddle-malloc: %s\n", r.words.c_str());
  return static_cast<int>(r.status);
}
