// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <heddle/heddle.hpp>
#include <utility>

#include "libraries/crowd.hpp"

namespace perf::libraries {

struct fibers {
  template <class F>
  void start(F f) {
    all.spawn(std::move(f));
  }
  void join() { all.wait(); }
  template <class Duration>
  static void sleep(Duration d) {
    heddle::this_fiber::sleep_for(d);
  }
  heddle::group all;
};

template <class Library>
void ask_by_fibers(int argc, char** argv) {
  const arguments args = parse(argc, argv);
  report to;
  heddle::run([&] { crowd<Library, fibers>(args).run(to); }, {.procs = args.procs()});
  to.print();
}

}  // namespace perf::libraries
