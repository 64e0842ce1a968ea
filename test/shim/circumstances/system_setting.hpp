// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace heddle::testing {

/// Writes a word to a file of the system; false if that is not allowed.
inline bool write_to(const std::filesystem::path& file, const std::string& word) {
  std::ofstream out(file);
  out << word << std::flush;
  return static_cast<bool>(out);
}

inline std::string read_from(const std::filesystem::path& file) {
  std::string word;
  std::ifstream(file) >> word;
  return word;
}

/// A setting of the whole machine, as it is to be while this lives. A process that watches puts it back when this one
/// has gone in whatever way, be it by SIGKILL.
class system_setting {
 public:
  system_setting(const std::filesystem::path& file, const std::string& word) : file_(file), before_(read_from(file)) {
    if (::pipe2(ends_, O_CLOEXEC) != 0) return;
    const pid_t owner = ::getpid();
    watcher_ = ::fork();
    if (watcher_ == 0) watch(owner);
    set_ = watcher_ > 0 && write_to(file_, word) && read_from(file_) == word;
  }
  system_setting(const system_setting&) = delete;
  system_setting& operator=(const system_setting&) = delete;
  ~system_setting() {
    if (watcher_ <= 0) return;
    ::close(ends_[1]);
    ::waitpid(watcher_, nullptr, 0);
    ::close(ends_[0]);
  }

  explicit operator bool() const { return set_; }

 private:
  [[noreturn]] void watch(pid_t owner) {
    ::setsid();  // no terminal's Ctrl-C
    for (int s : {SIGINT, SIGTERM, SIGHUP, SIGALRM}) ::signal(s, SIG_IGN);
    ::close(ends_[1]);
    // Children of the owner have the pipe too, so its end alone does not tell.
    pollfd end{ends_[0], POLLIN, 0};
    while (::getppid() == owner && ::poll(&end, 1, 50) == 0) {
    }
    write_to(file_, before_);
    ::_exit(0);
  }

  std::filesystem::path file_;
  std::string before_;
  int ends_[2] = {-1, -1};
  pid_t watcher_ = -1;
  bool set_ = false;
};

}  // namespace heddle::testing
