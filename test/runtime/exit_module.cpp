// SPDX-License-Identifier: BSL-1.0
//
// A module with a heddle of its own that is unloaded while a fiber still waits.
#include "heddle/heddle.hpp"

namespace {
heddle::channel<int> never;
}

extern "C" [[gnu::visibility("default")]] void leave_a_fiber();
extern "C" void leave_a_fiber() {
  heddle::go([] { (void)never.receive(); });
  heddle::go([] {
    for (;;) heddle::this_fiber::sleep_for(std::chrono::milliseconds(1));
  });
}
