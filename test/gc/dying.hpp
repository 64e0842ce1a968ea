// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <chrono>
#include <thread>

#include "heddle/gc/collect.hpp"
#include "heddle/gc/make.hpp"
#include "heddle/gc/root.hpp"
#include "heddle/gc/weak.hpp"
#include "support/leak_check.hpp"

namespace heddle::testing {

/// For far_below(): the compiler would put what f has on the stack above the gap.
template <class F>
[[gnu::noinline]] void call_in_a_frame_of_its_own(F& f) {
  f();
  asm volatile("" : : : "memory");
}

/// A vector register keeps what was in it last until something else is computed there: a thread that waits does not.
inline void clear_vector_registers() {
  asm volatile(
      "pxor %%xmm0, %%xmm0\n\tpxor %%xmm1, %%xmm1\n\tpxor %%xmm2, %%xmm2\n\tpxor %%xmm3, %%xmm3\n\t"
      "pxor %%xmm4, %%xmm4\n\tpxor %%xmm5, %%xmm5\n\tpxor %%xmm6, %%xmm6\n\tpxor %%xmm7, %%xmm7\n\t"
      "pxor %%xmm8, %%xmm8\n\tpxor %%xmm9, %%xmm9\n\tpxor %%xmm10, %%xmm10\n\tpxor %%xmm11, %%xmm11\n\t"
      "pxor %%xmm12, %%xmm12\n\tpxor %%xmm13, %%xmm13\n\tpxor %%xmm14, %%xmm14\n\tpxor %%xmm15, %%xmm15"
      :
      :
      : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12",
        "xmm13", "xmm14", "xmm15");
}

/// Calls f far down the stack. The addresses that it leaves there are below all frames that a collection meets: what
/// only f pointed to is dead when this returns. A test that expects an object to die has looked at it in such calls
/// only: a temporary gc::ptr leaves its bits in the test's own frame.
template <class F>
[[gnu::noinline]] void far_below(F f) {
  void* const gap = __builtin_alloca(24 * 1024);  // an array may be elsewhere: AddressSanitizer has fake frames
  asm volatile("" : : "r"(gap) : "memory");
  call_in_a_frame_of_its_own(f);
  clear_vector_registers();
  asm volatile("" : : "r"(gap) : "memory");
}

/// The answer of f, far down the stack: of the addresses that it has looked at none stays in the caller's frame.
template <class F>
bool holds(F f) {
  bool found = false;
  far_below([&] { found = f(); });
  return found;
}

/// Whether the object has died.
template <class T>
bool has_died(const gc::weak<T>& object) {
  return holds([&] { return object.expired(); });
}

/// Collects until `holds()` does, for ten seconds at most: destructors and cleanups run later than the cycle that finds
/// their objects dead.
template <class Predicate>
bool collect_until(Predicate holds) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);  // others may have the processors
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
        // Tables of the collector and the allocator begin with the first object's address, so a word of it may be
        // anywhere: the object lives on, and no test has that block.
        static const gc::root<int> first(gc::make<int>());
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
