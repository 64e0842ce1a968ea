// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <thread>

#include "heddle/gc.hpp"

namespace heddle::testing {

/// An object that can tell whether its memory is still its own.
struct witness {
  static constexpr std::uint64_t key = 0x5bd1'e995'7b93'14c7;

  gc::ptr<witness> next;
  std::uint64_t id = 0;
  std::uint64_t check = 0;

  bool is_whole() const noexcept { return (id ^ key) == check; }
};

inline gc::ptr<witness> make_witness(std::uint64_t id, const gc::ptr<witness>& next = nullptr) {
  return gc::make<witness>(next, id, id ^ witness::key);
}

/// Whether the list is whole, with ids that fall to 0.
inline bool is_whole_list(const witness* w) noexcept {
  if (w == nullptr) return false;
  for (std::uint64_t id = w->id; w != nullptr; w = w->next, --id)
    if (!w->is_whole() || w->id != id) return false;
  return true;
}
inline gc::ptr<witness> make_list(std::uint64_t last_id) {
  gc::ptr<witness> list;
  for (std::uint64_t id = 0; id <= last_id; ++id) list = make_witness(id, list);
  return list;
}

/// While it lives one cycle follows the other, and what is found dead is soon given to new objects.
class collecting {
 public:
  collecting() : first_(gc::statistics().cycles), thread_([this] { run(); }) {}
  ~collecting() {
    over_ = true;
    thread_.join();
  }
  collecting(const collecting&) = delete;
  collecting& operator=(const collecting&) = delete;

  std::uint64_t cycles() const noexcept { return gc::statistics().cycles - first_; }

 private:
  void run() {
    while (!over_) {
      gc::collect();
      for (std::uint64_t i = 0; i != 2000; ++i) gc::make<witness>(nullptr, i, i);
    }
  }

  const std::uint64_t first_;
  std::atomic<bool> over_{false};
  std::thread thread_;
};

/// Says when some time is over.
class timer {
 public:
  explicit timer(std::chrono::milliseconds time) : end_(std::chrono::steady_clock::now() + time) {}
  bool is_over() const noexcept { return std::chrono::steady_clock::now() >= end_; }

 private:
  const std::chrono::steady_clock::time_point end_;
};

/// Of all threads of the process so far: other processes add nothing to it.
inline std::chrono::nanoseconds processor_time() {
  timespec t{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec);
}

}  // namespace heddle::testing
