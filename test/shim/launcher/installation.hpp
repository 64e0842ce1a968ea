// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>

#include "shim/shim.hpp"

namespace heddle::testing {

inline void skip(const char* why) { BOOST_TEST_MESSAGE("skipped: " << why); }

/// Of a program.
struct outcome {
  int status = -1;
  std::string out, err;
  bool says(const std::string& words) const { return err.find(words) != err.npos; }
  bool taken() const { return out.find("taken\n") != out.npos; }
  bool refused() const { return status == 125 && out.empty(); }
  friend std::ostream& operator<<(std::ostream& to, const outcome& o) {
    return to << "status " << o.status << ", out '" << o.out << "', err '" << o.err << "'";
  }
};

/// The differences from any other process.
struct circumstances {
  uid_t user = ::getuid();
  std::vector<std::string> environment{"PATH=/usr/bin:/bin"};
  std::function<void()> before = nullptr;  ///< in the process, still as the user that runs the test
  std::function<void()> after = nullptr;   ///< as the other user
};

/// heddle-malloc as it is installed, and a program to be run, where any user reaches them.
struct installation {
  installation() {
    char name[] = "/tmp/heddle-launcher-XXXXXX";
    BOOST_REQUIRE(::mkdtemp(name) != nullptr);
    ::chmod(name, 0755);
    at = name;
    for (const char* folder : {"bin", "lib", "programs"}) std::filesystem::create_directory(at / folder);
    copy(HEDDLE_MALLOC_LAUNCHER, at / "bin/heddle-malloc");
    copy(std::getenv("HEDDLE_SHIM_SO"), library());
    copy(HEDDLE_SHIM_WITNESS_PROGRAM, program());
  }
  ~installation() { std::filesystem::remove_all(at); }
  installation(const installation&) = delete;
  installation& operator=(const installation&) = delete;

  std::string program() const { return at / "programs/program"; }
  std::string library() const { return at / "lib/libheddle_malloc.so"; }

  static void copy(const std::string& from, const std::string& to) {
    std::filesystem::copy(from, to);
    ::chmod(to.c_str(), 0755);
  }

  /// A file among the programs that may be executed.
  std::string write(const std::string& name, const std::string& text, mode_t mode = 0755) const {
    std::string path = at / "programs" / name;
    std::ofstream(path) << text;
    ::chmod(path.c_str(), mode);
    return path;
  }

  outcome launch(std::vector<std::string> words, const circumstances& c = {}) const {
    words.insert(words.begin(), at / "bin/heddle-malloc");
    return run(words, c);
  }

  /// The doings of the kernel and the loader, whether heddle-malloc expects them or not.
  outcome preload(const std::string& path, circumstances c = {}) const {
    c.environment.push_back("LD_PRELOAD=" + library());
    return run({path}, c);
  }

  outcome run(std::vector<std::string> words, const circumstances& c) const {
    const std::string out = at / "out", err = at / "err";
    const pid_t child = ::fork();
    if (child == 0) become(words, c, out, err);
    outcome o;
    int status = -1;
    ::waitpid(child, &status, 0);
    o.status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    for (const auto& [path, to] : {std::pair{out, &o.out}, std::pair{err, &o.err}}) {
      std::ifstream file(path);
      to->assign(std::istreambuf_iterator<char>(file), {});
    }
    return o;
  }

  std::filesystem::path at;

 private:
  [[noreturn]] static void become(std::vector<std::string>& words, const circumstances& c, const std::string& out,
                                  const std::string& err) {
    for (int fatal : {SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGALRM}) ::signal(fatal, SIG_DFL);
    ::dup2(::open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), STDOUT_FILENO);
    ::dup2(::open(err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), STDERR_FILENO);
    if (c.before) c.before();
    if (c.user != ::getuid()) insist(::setgid(c.user) == 0 && ::setuid(c.user) == 0, "cannot become another user\n");
    if (c.after) c.after();
    std::vector<std::string> variables = c.environment;
    std::vector<char*> arguments, environment;
    for (std::string& word : words) arguments.push_back(word.data());
    for (std::string& variable : variables) environment.push_back(variable.data());
    arguments.push_back(nullptr);
    environment.push_back(nullptr);
    ::execve(arguments[0], arguments.data(), environment.data());
    ::_exit(errno == ENOEXEC ? 200 : 201);
  }
};

}  // namespace heddle::testing
