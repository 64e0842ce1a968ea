// SPDX-License-Identifier: BSL-1.0
//
// Fibers and threads of exit_subject.cpp that certainly wait: one that has not begun to would use its object when that
// has been destroyed.
#pragma once

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <string>
#include <thread>

#include "heddle/heddle.hpp"

namespace exit_subject {

inline std::atomic<int> begun{0};

/// A fiber that is going to wait in f().
template <class F>
void go_and_wait(F f) {
  heddle::go([f] {
    ++begun;
    f();
  });
}

/// Returns when so many fibers have begun, and no processor but the caller's has anything to do: they wait.
inline void until_fibers_wait(int fibers) {
  const unsigned own = heddle::this_fiber::is_fiber() ? 1 : 0;
  while (begun < fibers || heddle::stats().idle_processors + own < heddle::processors()) {
    if (own != 0) heddle::this_fiber::yield();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

/// Runs f() on a thread of its own, and returns when that sleeps there.
template <class F>
void start_thread_that_waits(F f) {
  static std::atomic<pid_t> number;
  number = 0;
  std::thread([f] {
    number = ::gettid();
    f();
  }).detach();
  const auto sleeps = [] {
    if (number == 0) return false;
    std::ifstream file("/proc/self/task/" + std::to_string(number) + "/stat");
    std::string line;
    std::getline(file, line);
    const auto name_end = line.rfind(')');
    return name_end != std::string::npos && line.compare(name_end, 3, ") S") == 0;
  };
  while (!sleeps()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

}  // namespace exit_subject
