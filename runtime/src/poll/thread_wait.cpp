// SPDX-License-Identifier: BSL-1.0
//
// Plain threads, and fibers that are pinned to theirs, wait for a descriptor by poll(2): no runtime need run.
#include <algorithm>
#include <cerrno>
#include <optional>

#include "../pinned.hpp"
#include "slot.hpp"

namespace heddle::detail {
namespace {

struct ringer {
  platform::doorbell* bell;
  void operator()() const noexcept { bell->ring(); }
};

}  // namespace

poll_outcome poll_slot::wait_on_thread(poll_side side, const wait_bounds& bounds) noexcept {
  side_state& s = of(side);
  poll_thread self;
  if (const int error = self.bell.open(); error != 0) {
    errno = error;
    return poll_outcome::failed;
  }
  release_processor();
  poll_outcome outcome = poll_outcome::ready;
  {
    std::optional<stop_callback<ringer>> on_stop;
    if (bounds.stop != nullptr && bounds.stop->stop_possible()) on_stop.emplace(*bounds.stop, ringer{&self.bell});
    for (;;) {
      nanoseconds_t until = bounds.deadline;
      {
        const thread_lock hold(lock_);
        if (!must_wait(s, outcome)) break;
        until = std::min(until, s.deadline);
        s.threads.push_back(self);
      }
      outcome = bounds.stop != nullptr && bounds.stop->stop_requested() ? poll_outcome::stopped
                : until != no_deadline && platform::now() >= until      ? poll_outcome::timed_out
                                                                        : poll_outcome::ready;
      const bool over = outcome != poll_outcome::ready;
      const bool found = !over && self.bell.wait_for(fd(), side == poll_side::write, until);
      const thread_lock hold(lock_);
      s.threads.erase(self);
      if (over) break;
      if (found) note_event(s, ready);
    }
  }
  self.bell.close();
  return outcome;
}

}  // namespace heddle::detail
