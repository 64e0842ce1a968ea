// SPDX-License-Identifier: BSL-1.0
//
// The monitor tells a fiber that its slice is over while the fiber goes back and forth between two segments.
#include "late.hpp"

#include <boost/test/unit_test.hpp>

#include "model/expect.hpp"

namespace platform = heddle::detail::platform;
using heddle::detail::atomic;
using std::memory_order_relaxed;

namespace {

constexpr std::uintptr_t first_limit = 0x5000;
constexpr std::uintptr_t further_limit = 0x2000;  // lower, as it may be: a stale one would let the first overflow

/// A machine that goes on a further segment `rounds` times, and a monitor that finds it late `times` times.
auto goes_to_and_fro(int rounds, int times) {
  return [=] {
    atomic<std::uint32_t> late{0};
    atomic<std::uintptr_t> slot{first_limit};
    int yields = 0;
    const auto holds = [&](std::uintptr_t limit) {
      const std::uintptr_t v = slot.load(memory_order_relaxed);
      model::check(v == limit || (v & heddle::detail::late_mark) != 0, "the limit of another segment");
    };
    {
      model::thread monitor([&] {
        for (int i = 0; i != times; ++i) heddle::detail::tell_late(late, slot);
      });
      for (int i = 0; i != rounds; ++i) {
        holds(first_limit);
        if (!heddle::detail::calls_morestack(slot, first_limit - 1)) model::check(false, "a frame below the limit");
        if (!heddle::detail::goes_further(late, slot, further_limit)) {
          late.store(0, memory_order_relaxed);  // heddle_grow()
          slot.store(first_limit, memory_order_relaxed);
          ++yields;
          slot.store(further_limit, memory_order_relaxed);
        }
        holds(further_limit);
        heddle::detail::comes_back(late, slot, first_limit);
      }
      holds(first_limit);
    }
    // Told, it has yielded, or will where it next calls __morestack.
    model::check(yields != 0 || late.load(memory_order_relaxed) != 0, "nobody was told");
  };
}

constexpr model::options every{
    .strategy = model::strategy::exhaustive, .executions = 2'000'000, .preemptions = 4, .stale_reads = 2};
constexpr model::options some{.executions = 20'000};

}  // namespace

BOOST_AUTO_TEST_CASE(the_slot_is_never_stale) {
  BOOST_CHECK(model::expect_ok(every, goes_to_and_fro(2, 1)).complete);
  model::expect_ok(some, goes_to_and_fro(4, 3));
}

BOOST_AUTO_TEST_CASE(late_keeps_limit) {
  model::options o = some;
  o.planted = model::plant::late_keeps_limit;
  model::expect_bug(o, goes_to_and_fro(4, 3), "the limit of another segment");
}
