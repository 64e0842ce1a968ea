// SPDX-License-Identifier: BSL-1.0
#include <stdexcept>

#include "scenarios.hpp"

namespace soak {
namespace {

/// A tree of groups whose children fail, stop and run out of time at random. Returns how many ran.
void branch(dice chance, unsigned depth, std::atomic<int>& running) {
  heddle::group g({.limit = chance.below(4), .timeout = std::chrono::milliseconds(1 + chance.below(20))});
  std::atomic<int> children{0};
  for (unsigned i = chance.below(6); i != 0; --i)
    g.spawn([&, seed = chance.below(1'000'000)](std::stop_token stop) {
      ++children;
      ++running;
      struct at_end {
        std::atomic<int>&a, &b;
        ~at_end() { --a, --b; }
      } leave{children, running};
      dice mine(seed);
      require(heddle::this_fiber::stop_token() == stop, "a child's token is its group's");
      mine.dawdle();
      if (depth != 0 && mine.one_in(2)) branch(mine, depth - 1, running);
      if (mine.one_in(12)) throw std::runtime_error("a child fails");
      if (mine.one_in(3)) (void)heddle::this_fiber::sleep_for(mine.moment(), stop);
    });
  if (chance.one_in(5)) g.request_stop();
  if (chance.one_in(4)) return;  // the destructor waits
  try {
    g.wait();
  } catch (const heddle::deadline_exceeded&) {
    require(g.timed_out(), "deadline_exceeded says that the deadline has passed");
  } catch (const std::runtime_error&) {
    require(g.stop_requested(), "the first exception stops the rest");
  }
  require(children == 0, "a group outlives its children");
}

}  // namespace

void groups(const round& r) {
  std::atomic<int> running{0};
  work_together(r, [&](dice& chance, unsigned) {
    for (unsigned i = 0; i != r.operations / 16 + 1; ++i) {
      try {
        branch(dice(chance.below(1'000'000'000)), 2, running);
      } catch (const std::runtime_error&) {
      }
    }
  });
  require(running == 0, "groups outlive their children");
}

}  // namespace soak
