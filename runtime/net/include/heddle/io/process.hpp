// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <system_error>
#include <vector>

#include "heddle/detail/config.hpp"
#include "heddle/io/limits.hpp"
#include "heddle/io/pipe.hpp"

namespace heddle::io {

namespace detail {
struct child;
}

/// How a process has ended.
struct exit_status {
  int code = 0;    ///< that it gave to exit(), if no signal ended it
  int signal = 0;  ///< that ended it, or 0

  bool success() const noexcept { return code == 0 && signal == 0; }
  friend bool operator==(const exit_status&, const exit_status&) = default;
};

/// The choice of a standard stream of a child.
struct child_stream {
  enum class kind : std::uint8_t {
    inherited,    ///< the one of this process
    null,         ///< /dev/null
    pipe,         ///< a pipe, whose other end is process::in(), out() or err()
    descriptor,   ///< a copy of `fd`
    same_as_out,  ///< of the errors: what the output is
  };
  static constexpr child_stream inherited() noexcept { return {kind::inherited, -1}; }
  static constexpr child_stream null() noexcept { return {kind::null, -1}; }
  static constexpr child_stream pipe() noexcept { return {kind::pipe, -1}; }
  /// fd stays the caller's.
  static constexpr child_stream of(int fd) noexcept { return {kind::descriptor, fd}; }
  static constexpr child_stream same_as_out() noexcept { return {kind::same_as_out, -1}; }

  kind what = kind::inherited;
  int fd = -1;
};

/// How a process is started.
struct process_options {
  child_stream in = child_stream::inherited();
  child_stream out = child_stream::inherited();
  child_stream err = child_stream::inherited();
  /// Its working directory; empty: that of this process. A program that is named relatively is sought from there.
  std::string directory = {};
  /// Its environment, as NAME=value; none: that of this process. PATH is this process's in any case.
  std::optional<std::vector<std::string>> environment = {};
};

/// A child process, known by a descriptor (pidfd) and not by its number: what is done to it is never done to another
/// process that has got the number since. Its end is awaited as a descriptor is: the fiber is suspended, or the plain
/// thread blocks; there is no SIGCHLD, and nothing of other children is touched. Every descriptor that is made for it
/// is O_CLOEXEC.
///
/// A child begins with no signal blocked, and with SIGPIPE not ignored. A process object that goes does not end its
/// child; the pipes are closed, and the child's end is awaited behind the scenes: there is never a zombie.
///
/// If this process ignores SIGCHLD, or waits for any child elsewhere (waitpid(-1)), the kernel may have no status:
/// wait() then says std::errc::no_child_process.
///
/// \code
/// auto sort = heddle::io::process::run("sort", {"-n"}, {.in = child_stream::pipe(), .out = child_stream::pipe()});
/// heddle::go([&] {
///   sort.in().write(numbers);
///   sort.in().close();
/// });
/// while (const std::size_t n = sort.out().read_some(buffer)) use(std::span(buffer).first(n));
/// if (!sort.wait().success()) std::puts("sort has failed");
/// \endcode
class HEDDLE_EXPORT process {
 public:
  process() noexcept;
  process(process&&) noexcept;
  process& operator=(process&&) noexcept;
  ~process();

  /// Starts a program: a path, or a name that is sought in PATH. `arguments` without the name. Returns when the program
  /// runs, and throws io::error if it does not: its code and text say why, "run nonsense: No such file or directory".
  /// A program that somebody has open for writing (ETXTBSY) is tried again for some 0.1 s: a child that another thread
  /// is just starting may have it. Takes about as long as a fork of nothing, some 0.5 ms; from anywhere.
  static process run(const std::string& program, const std::vector<std::string>& arguments = {},
                     const process_options& o = {});

  /// Whether it has a child that has not been awaited.
  explicit operator bool() const noexcept;
  /// Its number, for messages; 0 if there is none.
  pid_t id() const noexcept;

  /// Streams to its standard input, from its output, from its errors: closed unless they were asked to be pipes.
  /// Writing to a child that has gone is the error std::errc::broken_pipe.
  pipe_stream& in() noexcept { return in_; }
  pipe_stream& out() noexcept { return out_; }
  pipe_stream& err() noexcept { return err_; }

  /// Waits for its end. May be called again, and by several at once. Whoever reads neither out() nor err() may wait for
  /// ever: the child waits for room in the pipe.
  exit_status wait(const limits& l, std::error_code& ec) noexcept;
  exit_status wait(const limits& l = {});
  /// Waits for its end; when `stop` is requested sends SIGTERM, and SIGKILL if it has not ended after `grace`.
  exit_status wait_or_stop(const std::stop_token& stop, std::chrono::nanoseconds grace);
  /// The same at once.
  exit_status stop(std::chrono::nanoseconds grace);

  /// Sends a signal. std::errc::no_such_process if it has been awaited.
  void send(int signal, std::error_code& ec) noexcept;
  void send(int signal);

 private:
  pipe_stream in_, out_, err_;
  std::unique_ptr<detail::child> child_;
};

}  // namespace heddle::io
