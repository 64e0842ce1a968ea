// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <thread>
#include <utility>
#include <vector>

#include "libraries/crowd.hpp"

namespace perf::libraries {

struct threads {
  template <class F>
  void start(F f) {
    all.emplace_back(std::move(f));
  }
  void join() {
    for (std::thread& t : all) t.join();
  }
  template <class Duration>
  static void sleep(Duration d) {
    std::this_thread::sleep_for(d);
  }
  std::vector<std::thread> all;
};

template <class Library>
void ask_by_threads(int argc, char** argv) {
  const arguments args = parse(argc, argv);
  report to;
  crowd<Library, threads>(args).run(to);
  to.print();
}

}  // namespace perf::libraries
