// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

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
};

/// The last operations of an execution.
class trace {
 public:
  void clear() noexcept { next_ = 0; }
  void add(const trace_entry& e) noexcept { entries_[next_++ % size] = e; }
  /// One line for each of the last `most`; `name` gives a thread's name.
  std::string format(const char* (*name)(unsigned), std::size_t most) const;

 private:
  static constexpr std::size_t size = 4096;
  trace_entry entries_[size];
  std::uint64_t next_ = 0;
};

}  // namespace model::detail
