// SPDX-License-Identifier: BSL-1.0
#include "reclaim/back_pressure.hpp"

#include <utility>

#include "barrier/waits.hpp"
#include "heddle/detail/bounded_wait.hpp"
#include "heddle/detail/wait_description.hpp"
#include "reclaim/endings.hpp"
#include "reclaim/runner_watch.hpp"

namespace heddle::gc::detail {

namespace platform = heddle::detail::platform;
using heddle::detail::nanoseconds_t;

namespace {

constexpr nanoseconds_t between_looks = 1'000'000;
/// Looks that see no ending end: time alone passes while the whole machine stands still, too. Where other programs have
/// the processors, they still say little: see stuck_runner.
constexpr unsigned patience = 100;
/// So often as long if nobody has begun.
constexpr unsigned until_begun = 10;

/// How many had ended when somebody waited in vain.
atomic<std::size_t> stuck_at{~std::size_t{0}};

/// Whether whoever runs the endings does not get on, since it was asked last.
class stuck_runner {
 public:
  /// None has ended for as long as patience is.
  bool is_stuck() noexcept {
    const int thread = the_runner.thread();
    if (thread == 0) return ++asked_in_vain_ == until_begun;
    const nanoseconds_t before = std::exchange(used_, the_runner.used());
    return !runner_watch::is_held_up(runner_watch::state_of(thread), used_ - before);
  }

 private:
  nanoseconds_t used_ = the_runner.used();
  unsigned asked_in_vain_ = 0;
};

/// Nobody wakes the caller: it looks again.
void sleep_briefly() {
  heddle::detail::bounded_waiter w({platform::now() + between_looks, nullptr});
  w.park(heddle::detail::commit_nothing, nullptr);
}

}  // namespace

bool await_endings(std::size_t live) noexcept {
  endings& all = the_endings();
  const std::size_t most = most_endings_due(live);
  if (all.due_lately() <= most || all.runs_here()) return false;
  const timed_wait wait(wait_cause::cycle);
  std::size_t ended = all.ended_lately();
  unsigned in_vain = 0;
  stuck_runner runner;
  while (all.due_lately() > most && stuck_at.load(std::memory_order_relaxed) != ended) {
    sleep_briefly();
    const std::size_t now_ended = all.ended_lately();
    in_vain = now_ended == ended ? in_vain + 1 : 0;
    ended = now_ended;
    if (in_vain != patience) continue;
    in_vain = 0;
    if (runner.is_stuck()) stuck_at.store(ended, std::memory_order_relaxed);
  }
  return true;
}

}  // namespace heddle::gc::detail
