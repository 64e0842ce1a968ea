// SPDX-License-Identifier: BSL-1.0
#include "reclaim/back_pressure.hpp"

#include "barrier/waits.hpp"
#include "heddle/detail/bounded_wait.hpp"
#include "reclaim/endings.hpp"

namespace heddle::gc::detail {

namespace platform = heddle::detail::platform;
using heddle::detail::nanoseconds_t;

namespace {

constexpr nanoseconds_t between_looks = 1'000'000;
/// Looks that see no ending end: time alone passes while the whole machine stands still, too.
constexpr unsigned patience = 100;

/// How many had ended when somebody waited in vain.
atomic<std::size_t> stuck_at{~std::size_t{0}};

/// Nobody wakes the caller: it looks again.
void sleep_briefly() {
  heddle::detail::bounded_waiter w({platform::now() + between_looks, nullptr});
  w.park([](void*) {}, nullptr);
}

}  // namespace

bool await_endings(std::size_t live) noexcept {
  endings& all = the_endings();
  const std::size_t most = most_endings_due(live);
  if (all.due_lately() <= most || all.runs_here()) return false;
  const timed_wait wait(wait_cause::cycle);
  std::size_t ended = all.ended_lately();
  unsigned in_vain = 0;
  while (all.due_lately() > most && stuck_at.load(std::memory_order_relaxed) != ended) {
    sleep_briefly();
    const std::size_t now_ended = all.ended_lately();
    in_vain = now_ended == ended ? in_vain + 1 : 0;
    ended = now_ended;
    if (in_vain == patience) stuck_at.store(ended, std::memory_order_relaxed);
  }
  return true;
}

}  // namespace heddle::gc::detail
