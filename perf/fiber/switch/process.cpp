// SPDX-License-Identifier: BSL-1.0
#include <sys/mman.h>
#include <sys/wait.h>

#include <new>

#include "common/switching.hpp"
#include "common/threads.hpp"
#include "common/turns.hpp"

namespace {

struct shared {
  perf::turns turns;
  perf::cold_watch watch;
};

shared& make_shared_memory() {
  void* memory = mmap(nullptr, sizeof(shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  perf::require(memory != MAP_FAILED, "no shared memory");
  return *new (memory) shared;
}

template <class F>
pid_t start_process(F&& f) {
  const pid_t child = fork();
  perf::require(child >= 0, "cannot fork");
  if (child == 0) {
    f();
    _exit(0);
  }
  return child;
}

void await_process(pid_t child) {
  int status = 0;
  perf::require(waitpid(child, &status, 0) == child && status == 0, "the other process failed");
}

}  // namespace

// Two processes on one processor; the kernel switches between them and between their address spaces.
int main(int argc, char** argv) {
  const perf::arguments args = perf::switch_arguments(argc, argv);
  perf::use_processors(1);
  shared& memory = make_shared_memory();
  perf::turns& turns = memory.turns;
  perf::cold_watch& watch = memory.watch;
  perf::report report;
  const auto direct = [&](std::uint64_t n) {
    const pid_t other = start_process([&] {
      turns.await(1);
      for (std::uint64_t i = 1; i < n; ++i) turns.pass(1);
      turns.give(1);
    });
    const double elapsed = perf::timed([&] {
      for (std::uint64_t i = 0; i < n; ++i) turns.pass(0);
    });
    await_process(other);
    return elapsed;
  };
  const auto cold = [&](std::uint64_t n, std::size_t evict) {
    const pid_t other = start_process([&] {
      turns.await(1);
      for (std::uint64_t i = 0; i < n; ++i) {
        watch.arrive();
        watch.leave(evict);
        i + 1 < n ? turns.pass(1) : turns.give(1);
      }
    });
    for (std::uint64_t i = 0; i < n; ++i) {
      watch.leave(evict);
      turns.pass(0);
      watch.arrive();
    }
    await_process(other);
  };
  perf::report_switch(report, args, watch, direct, cold);
  report.print();
}
