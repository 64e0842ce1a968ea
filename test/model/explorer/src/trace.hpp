// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

#include "clock.hpp"

namespace model::detail {

enum class operation : std::uint8_t {
  load,
  store,
  rmw,
  cas_done,
  cas_failed,
  fence,
  heavy_barrier,
  futex_sleep,
  futex_return,
  futex_wake,
  relax,
  now,
  start,
  join,
  end,
  time,
  preempt,
};

/// One operation of one thread, as the trace of a failure shows it.
struct trace_entry {
  std::uint8_t thread;
  operation op;
  std::uint8_t order;
  std::uint32_t atomic;  // its number in the execution, 0: none
  std::uint64_t value;   // read or written
  std::uint64_t second;  // what else the operation wrote, found or was told
  const void* caller;

  bool same_as(const trace_entry& o) const noexcept {
    return op == o.op && atomic == o.atomic && value == o.value && caller == o.caller;
  }
};

/// The last operations of an execution.
class trace {
 public:
  void clear() noexcept {
    next_ = 0;
    for (auto& two : last_) two[0] = two[1] = trace_entry{};
  }
  /// Leaves out what a thread does again and again in a loop of two operations, such as a load and a pause.
  void add(const trace_entry& e) noexcept {
    trace_entry(&last)[2] = last_[e.thread];
    const bool again = e.same_as(last[1]) && changes_nothing(e.op);
    last[1] = last[0];
    last[0] = e;
    if (!again) entries_[next_++ % size] = e;
  }
  /// One line for each of the last `most`; `name` gives a thread's name.
  std::string format(const char* (*name)(unsigned), std::size_t most) const;

 private:
  static constexpr bool changes_nothing(operation op) noexcept {
    return op == operation::load || op == operation::relax || op == operation::preempt;
  }
  static constexpr std::size_t size = 4096;
  trace_entry entries_[size];
  trace_entry last_[max_threads][2] = {};  // of each thread, the newest first
  std::uint64_t next_ = 0;
};

}  // namespace model::detail
