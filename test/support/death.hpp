// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

namespace heddle::testing {

/// How a child process ended and what it wrote to stderr.
struct death {
  int signal = 0;  ///< that killed it, 0 if it ended by itself
  int status = 0;  ///< its exit status if so
  std::string text;

  bool says(const char* words) const { return text.find(words) != std::string::npos; }
};

/// Runs f in a child process: for what must end the process. To be called while no runtime runs, since only
/// the calling thread lives on in the child. The child exits with status 0 if f returns.
template <class F>
death death_of(F&& f) {
  int ends[2];
  if (::pipe(ends) != 0) return {};
  const pid_t child = ::fork();
  if (child == 0) {
    const rlimit no_core{0, 0};
    ::setrlimit(RLIMIT_CORE, &no_core);
    ::signal(SIGABRT, SIG_DFL);  // Boost.Test has a handler of its own
    ::alarm(30);
    ::dup2(ends[1], STDERR_FILENO);
    f();
    ::_exit(0);
  }
  ::close(ends[1]);
  death how;
  char part[512];
  for (ssize_t n; (n = ::read(ends[0], part, sizeof part)) > 0;) how.text.append(part, static_cast<std::size_t>(n));
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) how.signal = WTERMSIG(status);
  if (WIFEXITED(status)) how.status = WEXITSTATUS(status);
  return how;
}

/// For a child that ends by std::exit(): takes the stack for signals from the calling thread. It is memory of Boost.Test,
/// which frees it in a static destructor while the kernel still has it; a signal of the collector would run there.
inline void leave_signal_stack_of_harness() {
  stack_t none{};
  none.ss_flags = SS_DISABLE;
  ::sigaltstack(&none, nullptr);
}

/// The same for a program of its own, run with one argument.
inline death death_of_program(const char* path, const char* argument) {
  return death_of([&] {
    ::execl(path, path, argument, static_cast<char*>(nullptr));
    ::_exit(127);
  });
}

}  // namespace heddle::testing
