// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "heddle/blocking.hpp"
#include "heddle/net/tcp.hpp"

namespace heddle::testing {

/// A folder that goes away with all that is in it.
class temporary_folder {
 public:
  temporary_folder() {
    std::string name = (std::filesystem::temp_directory_path() / "heddle-test.XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::system_error(errno, std::generic_category(), name);
    path_ = name;
  }
  temporary_folder(const temporary_folder&) = delete;
  temporary_folder& operator=(const temporary_folder&) = delete;
  ~temporary_folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const noexcept { return path_; }

 private:
  std::filesystem::path path_;
};

/// A program that runs beside the test, and ends with it in any case: setpriv(1) has the kernel kill the program when
/// the thread is gone that started it, and that thread waits for its end.
class process {
 public:
  process() = default;
  /// Its stdout and stderr go to the end of the file `log`.
  process(std::vector<std::string> words, const std::filesystem::path& log) {
    std::promise<pid_t> started;
    std::future<pid_t> number = started.get_future();
    runs_ = std::make_shared<std::atomic<bool>>(true);
    keeper_ = std::thread(
        [words = std::move(words), log = log.string(), started = std::move(started), runs = runs_]() mutable {
          const pid_t child = start(words, log);
          started.set_value(child);
          int status = 0;
          while (child > 0 && ::waitpid(child, &status, 0) < 0 && errno == EINTR) {
          }
          *runs = false;
        });
    number_ = number.get();
  }
  process(process&& other) noexcept
      : keeper_(std::move(other.keeper_)), number_(std::exchange(other.number_, -1)), runs_(std::move(other.runs_)) {}
  process& operator=(process&& other) noexcept {
    end(SIGKILL);
    keeper_ = std::move(other.keeper_);
    number_ = std::exchange(other.number_, -1);
    runs_ = std::move(other.runs_);
    return *this;
  }
  ~process() { end(SIGKILL); }

  /// Whether it has begun and has not ended by itself.
  bool runs() const noexcept { return runs_ != nullptr && *runs_; }

  void signal(int number) const {
    // Only the keeper reaps it, and ends then: so the number is nobody else's.
    if (number_ > 0) ::kill(number_, number);
  }
  /// Sends the signal, and returns when the program has ended.
  void end(int number) {
    if (!keeper_.joinable()) return;
    signal(number);
    heddle::blocking([this] { keeper_.join(); });
    number_ = -1;
  }

 private:
  static pid_t start(const std::vector<std::string>& words, const std::string& log) {
    std::vector<const char*> all{"setpriv", "--pdeathsig", "KILL", "--"};
    for (const std::string& word : words) all.push_back(word.c_str());
    all.push_back(nullptr);
    posix_spawn_file_actions_t files;
    ::posix_spawn_file_actions_init(&files);
    ::posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    ::posix_spawn_file_actions_adddup2(&files, STDOUT_FILENO, STDERR_FILENO);
    pid_t child = -1;
    const int result = ::posix_spawnp(&child, all[0], &files, nullptr, const_cast<char**>(all.data()), environ);
    ::posix_spawn_file_actions_destroy(&files);
    return result == 0 ? child : -1;
  }

  std::thread keeper_;
  pid_t number_ = -1;
  std::shared_ptr<std::atomic<bool>> runs_;
};

/// A port on which nobody listens now.
inline std::uint16_t free_port() {
  return net::tcp_listener::listen(net::endpoint::loopback_v4(0)).local_endpoint().port();
}

/// Waits until somebody listens there, at most so many hundredths of a second; whether somebody does.
inline bool listens(const net::endpoint& where, int most = 3000) {
  using namespace std::chrono_literals;
  for (int i = 0; i != most; ++i) {
    std::error_code refused;
    net::tcp_stream::connect(where, {}, refused);
    if (!refused) return true;
    heddle::blocking([] { std::this_thread::sleep_for(10ms); });
  }
  return false;
}

/// Redis on a free port of the loopback device, with nothing stored.
class redis_server {
 public:
  redis_server() {
    // Another process may take the port meanwhile: then the next one.
    for (int i = 0; i != 5; ++i) {
      where_ = net::endpoint::loopback_v4(free_port());
      if (runs()) return;
    }
    throw std::runtime_error("redis-server does not start");
  }
  std::string address() const { return where_.to_string(); }
  void kill() { process_.end(SIGKILL); }
  /// At the same port, which a connection of another process may have for a while. Throws if it does not start.
  void start() {
    for (int i = 0; i != 10; ++i)
      if (runs()) return;
    throw std::runtime_error("redis-server does not start again");
  }

 private:
  /// Whether it has begun, and says that it listens: a connection might be to another process, which had the port
  /// first.
  bool runs() {
    const std::filesystem::path log = folder_.path() / "log";
    std::filesystem::remove(log);
    process_ = process({"redis-server", "--port", std::to_string(where_.port()), "--bind", "127.0.0.1", "--save", "",
                        "--appendonly", "no", "--dir", folder_.path().string()},
                       log);
    for (int i = 0; i != 2000 && process_.runs(); ++i) {
      std::ostringstream said;
      said << std::ifstream(log).rdbuf();
      if (said.str().find("Ready to accept connections") != std::string::npos) return true;
      heddle::blocking([] { std::this_thread::sleep_for(std::chrono::milliseconds(10)); });
    }
    return false;
  }

  temporary_folder folder_;
  net::endpoint where_;
  process process_;
};

}  // namespace heddle::testing
