// SPDX-License-Identifier: BSL-1.0
#include <boost/fiber/all.hpp>
#include <memory>

#include "common/switching.hpp"
#include "common/threads.hpp"

// Two fibers of one thread yield to each other.
int main(int argc, char** argv) {
  const perf::arguments args = perf::switch_arguments(argc, argv);
  perf::use_processors(1);
  const auto memory = std::make_unique<perf::cold_watch>();
  perf::cold_watch& watch = *memory;
  perf::report report;
  const auto direct = [](std::uint64_t n) {
    boost::fibers::fiber other([n] {
      for (std::uint64_t i = 0; i < n; ++i) boost::this_fiber::yield();
    });
    const double elapsed = perf::timed([&] {
      for (std::uint64_t i = 0; i < n; ++i) boost::this_fiber::yield();
    });
    other.join();
    return elapsed;
  };
  const auto cold = [&](std::uint64_t n, std::size_t evict) {
    boost::fibers::fiber other([&watch, n, evict] {
      for (std::uint64_t i = 0; i < n; ++i) {
        watch.arrive();
        watch.leave(evict);
        boost::this_fiber::yield();
      }
    });
    for (std::uint64_t i = 0; i < n; ++i) {
      watch.leave(evict);
      boost::this_fiber::yield();
      watch.arrive();
    }
    other.join();
  };
  perf::report_switch(report, args, watch, direct, cold);
  report.print();
}
