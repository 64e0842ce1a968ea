// SPDX-License-Identifier: BSL-1.0
//
// What a work queue tells of itself. A queue that is to tell nothing reads no clock.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace examples {

/// Durations that were measured, summed up.
struct timing {
  std::uint64_t count = 0;
  std::chrono::nanoseconds total{0};
  std::chrono::nanoseconds longest{0};

  void add(std::chrono::nanoseconds d) noexcept {
    ++count;
    total += d;
    longest = std::max(longest, d);
  }
};

/// What work_queue::metrics() returns; the names are client-go's.
struct queue_figures {
  std::size_t depth = 0;                        ///< items that wait now
  std::uint64_t adds = 0;                       ///< that were not deduplicated
  std::uint64_t retries = 0;                    ///< by add_rate_limited()
  timing latency;                               ///< from add() to get()
  timing work_duration;                         ///< from get() to done
  std::chrono::nanoseconds unfinished_work{0};  ///< how long those that are processed now have been so, in sum
  std::chrono::nanoseconds longest_running{0};  ///< and the one that has been so for the longest time
};

/// For a queue that measures nothing.
struct no_queue_metrics {
  static constexpr bool enabled = false;
  struct stamp {};  ///< what is kept for each item
  void added(stamp&) noexcept {}
  void got(stamp&) noexcept {}
  void done(stamp&) noexcept {}
  void retried() noexcept {}
};

/// Measures; called with the queue locked.
class queue_metrics {
 public:
  using clock = std::chrono::steady_clock;
  static constexpr bool enabled = true;
  struct stamp {
    clock::time_point added, started;
  };
  void added(stamp& s) noexcept {
    ++figures_.adds;
    s.added = clock::now();
  }
  void got(stamp& s) noexcept {
    s.started = clock::now();
    figures_.latency.add(s.started - s.added);
  }
  void done(stamp& s) noexcept { figures_.work_duration.add(clock::now() - s.started); }
  void retried() noexcept { ++figures_.retries; }
  const queue_figures& figures() const noexcept { return figures_; }

 private:
  queue_figures figures_;
};

}  // namespace examples
