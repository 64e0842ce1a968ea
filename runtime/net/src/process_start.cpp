// SPDX-License-Identifier: BSL-1.0
//
// How a child begins: by posix_spawn(), whose child shares our memory until the program runs (nothing is copied), and
// which says why a program cannot be run. The pidfd is opened while the child has not been reaped, so its number is its
// own.
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <utility>

#include "child.hpp"
#include "heddle/blocking.hpp"
#include "heddle/io/owned_descriptor.hpp"
#include "heddle/this_fiber.hpp"

namespace heddle::io {

namespace detail {
namespace {

owned_descriptor opened(int fd, const std::string& operation) {
  if (fd < 0) throw error(last_error(), operation);
  return owned_descriptor(fd);
}

/// The descriptions that posix_spawn() takes. Its functions fail for want of memory only.
class spawn_request {
 public:
  spawn_request() {
    check(::posix_spawn_file_actions_init(&actions_));
    check(::posix_spawnattr_init(&attributes_));
    sigset_t none, usual;
    ::sigemptyset(&none);
    ::sigemptyset(&usual);
    ::sigaddset(&usual, SIGPIPE);
    check(::posix_spawnattr_setsigmask(&attributes_, &none));
    check(::posix_spawnattr_setsigdefault(&attributes_, &usual));
    check(::posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF));
  }
  ~spawn_request() {
    ::posix_spawn_file_actions_destroy(&actions_);
    ::posix_spawnattr_destroy(&attributes_);
  }
  spawn_request(const spawn_request&) = delete;
  spawn_request& operator=(const spawn_request&) = delete;

  /// `from`, above 2, becomes `standard`.
  void connect(int from, int standard) { check(::posix_spawn_file_actions_adddup2(&actions_, from, standard)); }
  void enter(const std::string& directory) {
    if (!directory.empty()) check(::posix_spawn_file_actions_addchdir_np(&actions_, directory.c_str()));
  }
  /// 0, or the error of the child.
  int start(pid_t& id, char* const* arguments, char* const* environment) noexcept {
    return ::posix_spawnp(&id, arguments[0], &actions_, &attributes_, arguments, environment);
  }

 private:
  static void check(int failure) {
    if (failure != 0) throw std::bad_alloc();
  }
  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
};

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> all;
  for (const std::string& t : texts) all.push_back(const_cast<char*>(t.c_str()));
  all.push_back(nullptr);
  return all;
}

/// Another process may just be between fork and exec, with a copy of the descriptor that has written the program.
int start_patiently(spawn_request& request, pid_t& id, char* const* arguments, char* const* environment) {
  constexpr int tries = 8;  // 127 ms in all
  for (int i = 0;; ++i) {
    const int failure = blocking([&] { return request.start(id, arguments, environment); });
    if (failure != ETXTBSY || i + 1 == tries) return failure;
    this_fiber::sleep_for(std::chrono::milliseconds(1 << i));
  }
}

/// A child that we cannot look after. It has not been reaped, so the number is its own.
void abandon(pid_t id) noexcept {
  ::kill(id, SIGKILL);
  while (::waitpid(id, nullptr, 0) < 0 && errno == EINTR) {
  }
}

void take(child& c, pid_t id) {
  c.id = id;
  const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, id, 0));
  siginfo_t how{};
  // Without WNOWAIT this would reap it. ECHILD: it has ended, and with SIGCHLD ignored nobody knows how.
  if (pidfd >= 0 && ::waitid(P_PIDFD, static_cast<id_t>(pidfd), &how, WEXITED | WNOHANG | WNOWAIT) == 0) {
    try {
      c.end = polled(pidfd);
      return;
    } catch (...) {
      c.id = 0;
      abandon(id);
      throw;
    }
  }
  const int problem = errno;
  if (pidfd >= 0) ::close(pidfd);
  if (pidfd < 0 && problem != ESRCH) {
    c.id = 0;
    abandon(id);
    throw error({problem, std::system_category()}, "run " + c.name);
  }
  const heddle::detail::thread_lock hold(c.lock);
  c.over = true;
  c.lost = std::make_error_code(std::errc::no_child_process);
}

}  // namespace

/// The three standard streams while a child is started.
struct child_pipes {
  child_pipes(const process_options& o, const std::string& program) {
    const std::array<child_stream, 3> all{o.in, o.out, o.err};
    for (int i = 0; i != 3; ++i) prepare(i, all[static_cast<std::size_t>(i)], program);
  }

  void prepare(int standard, const child_stream& s, const std::string& program) {
    const std::string operation = "run " + program;
    owned_descriptor& end = theirs[static_cast<std::size_t>(standard)];
    switch (s.what) {
      case child_stream::kind::inherited: return;
      case child_stream::kind::null: end = opened(::open("/dev/null", O_RDWR | O_CLOEXEC), operation); break;
      case child_stream::kind::pipe: end = open_pipe(standard, program); break;
      case child_stream::kind::descriptor:
        end = opened(::fcntl(s.fd, F_DUPFD_CLOEXEC, 3), operation);  // they must not stand where others are to be
        return;
      case child_stream::kind::same_as_out:
        if (standard != STDERR_FILENO) throw error(std::make_error_code(std::errc::invalid_argument), operation);
        errors_to_output = true;
        return;
    }
    if (end.get() < 3) end = opened(::fcntl(end.get(), F_DUPFD_CLOEXEC, 3), operation);  // as above
  }

  /// Returns the child's end.
  owned_descriptor open_pipe(int standard, const std::string& program) {
    static constexpr std::array<const char*, 3> names{"the input of ", "the output of ", "the errors of "};
    std::array<int, 2> fd{};
    if (::pipe2(fd.data(), O_CLOEXEC) != 0) throw error(last_error(), "run " + program);
    const bool writes = standard == STDIN_FILENO;
    owned_descriptor child_end(fd[writes ? 0 : 1]), own_end(fd[writes ? 1 : 0]);
    // The mode of this end only: the child's is another open file.
    ours[static_cast<std::size_t>(standard)] =
        pipe_stream::adopt(own_end.release(), names[static_cast<std::size_t>(standard)] + program);
    return child_end;
  }

  void connect(spawn_request& request) const {
    for (int i = 0; i != 3; ++i)
      if (const int from = theirs[static_cast<std::size_t>(i)].get(); from >= 0) request.connect(from, i);
    if (errors_to_output) request.connect(STDOUT_FILENO, STDERR_FILENO);
  }

  std::array<owned_descriptor, 3> theirs;
  std::array<pipe_stream, 3> ours;
  bool errors_to_output = false;
};

}  // namespace detail

process process::run(const std::string& program, const std::vector<std::string>& arguments, const process_options& o) {
  std::vector<std::string> all{program};
  all.insert(all.end(), arguments.begin(), arguments.end());
  const std::vector<char*> argv = detail::pointers(all);
  const std::vector<char*> given = o.environment ? detail::pointers(*o.environment) : std::vector<char*>();

  process p;
  auto c = std::make_unique<detail::child>(program);
  detail::child_pipes streams(o, program);
  detail::spawn_request request;
  streams.connect(request);
  request.enter(o.directory);
  pid_t id = 0;
  const int failure = detail::start_patiently(request, id, argv.data(), o.environment ? given.data() : environ);
  if (failure != 0)
    throw error({failure, std::system_category()},
                "run " + program + (o.directory.empty() ? "" : " in " + o.directory));
  detail::take(*c, id);
  p.child_ = std::move(c);
  p.in_ = std::move(streams.ours[0]);
  p.out_ = std::move(streams.ours[1]);
  p.err_ = std::move(streams.ours[2]);
  return p;
}

}  // namespace heddle::io
