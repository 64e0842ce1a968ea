// SPDX-License-Identifier: BSL-1.0
//
// Words on stacks, and scans of those.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <thread>

#include "gc/finder.hpp"
#include "heddle/heddle.hpp"
#include "roots/stacks.hpp"

namespace heddle::testing {

/// Runs f on a plain thread that the collector does not know, as its own thread is.
template <class F>
void as_collector(F f) {
  std::thread t(f);
  t.join();
}
/// The scan of another thread while the calling fiber waits without giving its machine up.
template <class F>
void meanwhile(F f) {
  blocking([&] { as_collector(f); });
}

inline std::size_t times_found(const hidden_word& w) {
  finder f(w);
  gc::detail::scan_stacks(f);
  return f.found;
}
/// The scan while the calling fiber keeps its machine, so that no other runs on it.
inline std::size_t times_found_meanwhile(const hidden_word& w) {
  std::atomic<bool> over{false};
  std::size_t found = 0;
  std::thread collector([&] {
    found = times_found(w);
    over.store(true);
  });
  while (!over.load()) asm volatile("pause");
  collector.join();
  return found;
}

/// Keeps the value on the stack of the caller, in memory.
template <class F>
[[gnu::noinline]] void with_on_stack(std::uintptr_t value, F f) {
  std::uintptr_t kept[4] = {0, value, 0, 0};
  value = 0;
  asm volatile("" : : "r"(kept) : "memory");
  f();
  kept[1] = 0;
  asm volatile("" : : "r"(kept) : "memory");
}

inline options processors(unsigned n) {
  options o;
  o.procs = n;
  return o;
}

/// Opens a way for many, once.
class gate {
 public:
  void open() { opened_.store(true); }
  bool is_open() const { return opened_.load(); }
  void spin() const {
    while (!is_open()) asm volatile("pause");
  }
  void sleep() const {
    while (!is_open()) std::this_thread::sleep_for(std::chrono::microseconds(100));
  }

 private:
  std::atomic<bool> opened_{false};
};

}  // namespace heddle::testing
