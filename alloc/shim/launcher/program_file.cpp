// SPDX-License-Identifier: BSL-1.0
#include "program_file.hpp"

#include <elf.h>
#include <fcntl.h>
#include <paths.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <string_view>
#include <vector>

namespace heddle::launcher {
namespace {

using kind = refusal::kind;

/// The kernel looks at so many bytes of a file (BINPRM_BUF_SIZE), and goes through so many scripts.
constexpr std::size_t looked_at = 256;
constexpr int most_scripts = 5;

/// Bytes of a file from `offset` on; fewer than n at its end.
std::string read_from(const std::string& path, std::size_t n, std::size_t offset = 0) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0)
    throw refusal{kind::no_preload, path + " cannot be read (" + std::strerror(errno) +
                                        "), so it cannot be told whether it takes the preload"};
  std::string bytes(n, '\0');
  std::size_t length = 0;
  for (ssize_t part = 1; part > 0 && length != n; length += part > 0 ? static_cast<std::size_t>(part) : 0)
    part = ::pread(file, bytes.data() + length, n - length, static_cast<off_t>(offset + length));
  ::close(file);
  bytes.resize(length);
  return bytes;
}

bool is_file(const std::string& path) {
  struct stat s {};
  return ::stat(path.c_str(), &s) == 0 && S_ISREG(s.st_mode);
}

bool executable(const std::string& path) { return is_file(path) && ::access(path.c_str(), X_OK) == 0; }

/// `path`, if it can be executed; `what` stands before its name in what is said else.
void require_executable(const std::string& path, const std::string& what = {}) {
  if (::access(path.c_str(), F_OK) != 0)
    throw refusal{what.empty() ? kind::not_found : kind::not_runnable, what + path + ": " + std::strerror(errno)};
  if (!is_file(path)) throw refusal{kind::not_runnable, what + path + ": not a file"};
  if (::access(path.c_str(), X_OK) != 0) throw refusal{kind::not_runnable, what + path + ": not executable"};
}

enum class shape { elf, script, other };

struct beginning {
  shape is;
  loaded_file interpreter;  ///< of a script
};

/// As the kernel reads it: a #! line that is cut off within the interpreter's path, or has none, makes no script.
beginning beginning_of(const std::string& path) {
  const std::string bytes = read_from(path, looked_at);
  if (bytes.compare(0, SELFMAG, ELFMAG) == 0) return {shape::elf, {}};
  if (bytes.compare(0, 2, "#!") != 0) return {shape::other, {}};
  const std::size_t newline = bytes.find('\n');
  std::string line = bytes.substr(2, newline == bytes.npos ? bytes.npos : newline - 2);
  line.resize(std::strlen(line.c_str()));
  const std::size_t from = line.find_first_not_of(" \t");
  if (from == line.npos) return {shape::other, {}};
  const std::size_t to = line.find_first_of(" \t", from);
  if (to == line.npos && newline == bytes.npos && bytes.size() == looked_at) return {shape::other, {}};
  line.resize(line.find_last_not_of(" \t") + 1);
  const std::size_t argument = line.find_first_not_of(" \t", to);
  return {shape::script, {line.substr(from, to - from), argument == line.npos ? "" : line.substr(argument)}};
}

/// Text, as shells tell it: nothing in the first line is 0.
bool is_text(const std::string& path) {
  const std::string bytes = read_from(path, looked_at);
  return bytes.substr(0, bytes.find('\n')).find('\0') == bytes.npos;
}

std::vector<std::string> words_of(const std::string& line) {
  std::istringstream in(line);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

bool begins(std::string_view word, std::string_view with) { return word.substr(0, with.size()) == with; }

}  // namespace

std::string find_program(const std::string& name) {
  if (name.empty()) throw refusal{kind::not_found, "'': not found"};
  if (name.find('/') != name.npos) {
    require_executable(name);
    return name;
  }
  const char* const path = std::getenv("PATH");
  std::string found;
  std::istringstream folders(path != nullptr ? path : _PATH_DEFPATH);
  for (std::string folder; std::getline(folders, folder, ':');) {
    const std::string candidate = (folder.empty() ? "." : folder) + "/" + name;
    if (executable(candidate)) return candidate;
    if (found.empty() && is_file(candidate)) found = candidate;
  }
  if (found.empty()) throw refusal{kind::not_found, name + ": not found"};
  throw refusal{kind::not_runnable, found + ": not executable"};
}

loaded_file file_loaded_for(const std::string& program) {
  loaded_file at{program, {}};
  for (int scripts = 0;; ++scripts) {
    const beginning b = beginning_of(at.path);
    if (b.is == shape::elf) return at;
    if (b.is == shape::other) {
      if (!is_text(program)) throw refusal{kind::not_runnable, program + " is neither a program nor a script"};
      return {_PATH_BSHELL, program};
    }
    if (scripts == most_scripts)
      throw refusal{kind::not_runnable, program + " leads to more than " + std::to_string(most_scripts) +
                                            " scripts, each the interpreter of the one before"};
    require_executable(b.interpreter.path, at.path + ": its interpreter ");
    at = b.interpreter;
  }
}

std::string program_of_env(const loaded_file& env) {
  const std::string& line = env.argument;
  const auto refuse = [&]() -> refusal {
    return {kind::no_preload, env.path + " " + line + " takes LD_PRELOAD out of the environment"};
  };
  // The kernel makes one argument of the rest of the line, which -S splits, alone or behind other letters.
  std::vector<std::string> words;
  const std::size_t split = line.find_first_not_of("iv0", 1);
  if (begins(line, "-") && split != line.npos && line[split] == 'S') {
    if (line.find('i') < split) throw refuse();
    words = words_of(line.substr(split + 1));
  } else if (begins(line, "--split-string=")) {
    words = words_of(line.substr(line.find('=') + 1));
  } else if (!line.empty()) {
    words = {line};
  }
  for (std::size_t i = 0; i != words.size(); ++i) {
    const std::string& word = words[i];
    const std::string unset = word == "-u" || word == "--unset" ? (i + 1 != words.size() ? words[++i] : "")
                              : begins(word, "--unset=")        ? word.substr(8)
                              : begins(word, "-u")              ? word.substr(2)
                                                                : "";
    if (word == "-" || word == "-i" || word == "--ignore-environment" || unset == "LD_PRELOAD") throw refuse();
    if (!unset.empty() || (word[0] != '-' && word.find('=') != word.npos)) continue;
    return word[0] == '-' || word.find_first_of("'\"\\$") != word.npos ? "" : word;
  }
  return "";
}

std::string loader_of(const std::string& path) {
  const auto refuse = [&](const char* words) -> refusal {
    return {kind::no_preload, path + " is " + words + ", so nothing can be preloaded"};
  };
  const std::string header = read_from(path, sizeof(Elf64_Ehdr));
  Elf64_Ehdr e{};
  std::memcpy(&e, header.data(), header.size());
  if (header.size() != sizeof e || e.e_ident[EI_CLASS] != ELFCLASS64 || e.e_machine != EM_X86_64 ||
      (e.e_type != ET_EXEC && e.e_type != ET_DYN) || e.e_phentsize != sizeof(Elf64_Phdr))
    throw refuse("no program for x86-64");
  const std::string table = read_from(path, e.e_phnum * sizeof(Elf64_Phdr), e.e_phoff);
  for (std::size_t at = 0; at + sizeof(Elf64_Phdr) <= table.size(); at += sizeof(Elf64_Phdr)) {
    Elf64_Phdr p{};
    std::memcpy(&p, table.data() + at, sizeof p);
    if (p.p_type != PT_INTERP || p.p_filesz > 4096) continue;
    std::string loader = read_from(path, p.p_filesz, p.p_offset);
    loader.resize(std::strlen(loader.c_str()));
    if (loader.substr(loader.rfind('/') + 1) == "ld-linux-x86-64.so.2") return loader;
    throw refuse(("loaded by " + loader + ", which is not glibc's").c_str());
  }
  throw refuse("linked statically");
}

}  // namespace heddle::launcher
