// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <csignal>
#include <string>
#include <vector>

#include "heddle/io/buffered.hpp"
#include "heddle/io/process.hpp"

namespace heddle::testing {

/// A program beside the test, which is given a minute and ends with this object at the latest.
class program {
 public:
  explicit program(std::vector<std::string> words, io::child_stream errors = io::child_stream::null()) {
    words.insert(words.begin(), "60");
    process_ = io::process::run("timeout", words,
                                {.in = io::child_stream::pipe(), .out = io::child_stream::pipe(), .err = errors});
  }
  program(const program&) = delete;
  program& operator=(const program&) = delete;
  ~program() {
    std::error_code ended_already;
    process_.send(SIGTERM, ended_already);
    process_.in().close();
    process_.out().close();
    process_.wait(std::chrono::seconds(60), ended_already);
  }

  void say(std::string_view text) { process_.in().write(text); }
  void say_no_more() { process_.in().close(); }
  /// The next line of its output; nothing at its end.
  std::string line() {
    const auto l = output_.read_line();
    return l ? std::string(*l) : std::string();
  }
  /// Reads up to that line; false: it does not come.
  bool says(std::string_view wanted) {
    while (const auto l = output_.read_line())
      if (*l == wanted) return true;
    return false;
  }
  /// All the rest of it.
  std::string rest() {
    std::string all;
    std::byte part[4096];
    while (const std::size_t n = output_.read_some(part)) all.append(reinterpret_cast<const char*>(part), n);
    return all;
  }
  /// Its exit code.
  int wait() { return process_.wait().code; }

 private:
  io::process process_;
  io::buffered_reader<io::pipe_stream> output_{process_.out()};
};

}  // namespace heddle::testing
