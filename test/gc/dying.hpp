// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <chrono>
#include <thread>

#include "heddle/gc/collect.hpp"
#include "heddle/gc/make.hpp"
#include "support/leak_check.hpp"

namespace heddle::testing {

/// For far_below(): the compiler would put what f has on the stack above the gap.
template <class F>
[[gnu::noinline]] void call_in_a_frame_of_its_own(F& f) {
  f();
  asm volatile("" : : : "memory");
}

/// Calls f far down the stack. The addresses that it leaves there are below all frames that a collection meets: what
/// only f pointed to is dead when this returns. A test that expects an object to die has looked at it in such calls
/// only: a temporary gc::ptr leaves its bits in the test's own frame.
template <class F>
[[gnu::noinline]] void far_below(F f) {
  volatile char gap[24 * 1024];
  gap[0] = 0;
  call_in_a_frame_of_its_own(f);
  asm volatile("" : : "r"(&gap[0]) : "memory");
}

/// Collects until `holds()` does, for ten seconds at most: destructors and cleanups run later than the cycle that finds
/// their objects dead.
template <class Predicate>
bool collect_until(Predicate holds) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  do {
    gc::collect();
    if (holds()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  } while (std::chrono::steady_clock::now() < end);
  return false;
}

/// Says how many there are.
struct counted {
  counted() noexcept { ++alive; }
  counted(const counted&) noexcept { ++alive; }
  counted& operator=(const counted&) noexcept = default;
  ~counted() { --alive; }

  static inline std::atomic<int> alive{0};
};

/// What the collector makes once for the process is made before a test counts what there is.
struct collector_began {
  collector_began() {
    static const bool once = [] {
      far_below([] {
        gc::make<int>();  // the first object of the process lives on: the collector's tables begin with its address
        gc::make<counted>();
      });
      return collect_until([] { return counted::alive == 0; });
    }();
    static_cast<void>(once);
  }
};

/// Fixture of the test suites of what a collector frees. As leak_check; what destructors give back counts as given back
/// when they have run. The collector's own queues and tables may have grown by a few blocks.
struct collected_check : collector_began, leak_check {
  void teardown() {
    constexpr long few = 8;
    const auto is_clean = [this] { return belongings::now().blocks <= before.blocks + few; };
    if (collect_until(is_clean)) before.blocks += few;
    leak_check::teardown();
  }
};

}  // namespace heddle::testing
