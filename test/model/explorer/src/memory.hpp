// SPDX-License-Identifier: BSL-1.0
//
// The weak memory of the explorer: the C++20 model in operational form, without promises (no load
// buffering).
//
// Each atomic object has a location: its modification order, of which the last few messages are
// kept. A load may return any message that the loading thread is not obliged to have seen past;
// which one is a choice of the strategy. Sources: J. Kang et al., "A Promising Semantics for
// Relaxed-Memory Concurrency", POPL 2017 (views); D. Vyukov's Relacy (who saw a message first, so
// that reads are coherent without a view per location).
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <limits>
#include <vector>

#include "clock.hpp"
#include "model/platform_model.hpp"

namespace model::detail {

class chooser;

/// What a read-modify-write leaves behind.
std::uint64_t apply(rmw_op op, std::uint64_t old, std::uint64_t operand) noexcept;

/// The part of a thread that the memory keeps.
struct memory_thread {
  unsigned id = 0;
  epoch_t epoch = 0;
  knowledge known;
  knowledge read_relaxed;   // what relaxed reads would have handed over: joined by the next acquire fence
  knowledge fenced;         // known at the last release fence: handed on by relaxed stores
  bool has_fenced = false;  // a release fence has been executed
  bool has_read_relaxed = false;
};

/// One store in the modification order of a location.
struct message {
  static constexpr epoch_t never = std::numeric_limits<epoch_t>::max();

  std::uint64_t value = 0;
  std::uint32_t sc_number = 0;  // n-th seq_cst store of the execution, 0: not seq_cst
  bool releases = false;        // `released` counts
  bool is_rmw = false;          // directly behind the message that it read, for ever
  clock seen_at;                // per thread, when it first read this (the writer: when it wrote it)
  knowledge released;

  /// Whether somebody who sees up to `view` may not overlook this message.
  bool known_to(const clock& view) const noexcept {
    unsigned hits = 0;
    for (unsigned i = 0; i < max_threads; ++i) hits |= static_cast<unsigned>(seen_at.at[i] <= view.at[i]);
    return hits != 0;
  }
};

/// The modification order of one atomic object in this execution. Message n sits in slot n % kept.
struct location {
  static constexpr unsigned kept = 8;

  const cell* owner = nullptr;  // null: free
  std::uint32_t number = 0;     // the n-th atomic made in this execution, for the trace
  std::uint32_t newest = 0;
  std::uint32_t oldest = 0;
  unsigned creator = 0;
  epoch_t created_at = 0;
  std::uint8_t stale_reads[max_threads] = {};  // in a row, per thread
  message messages[kept];

  message& at(std::uint32_t n) noexcept { return messages[n % kept]; }
};

class memory {
 public:
  /// A thread reads at most so many outdated values of one location in a row: stores become visible
  /// in the end.
  static constexpr unsigned max_stale_reads = 3;

  explicit memory(chooser& c) noexcept : chooser_(c) {}

  void begin_execution(bool weak, std::uint32_t execution) noexcept;
  std::uint32_t execution() const noexcept { return execution_; }

  void create(cell* c, unsigned size, memory_thread& t);
  void destroy(cell* c) noexcept;
  /// The location of an atomic; null (see problem()) if it is destroyed or its construction
  /// unordered.
  location* find(cell* c, unsigned size, memory_thread& t);
  const char* problem() const noexcept { return problem_; }

  std::uint64_t load(location& l, memory_thread& t, std::memory_order order);
  void store(location& l, memory_thread& t, std::uint64_t value, unsigned size, std::memory_order order);
  std::uint64_t rmw(location& l, memory_thread& t, rmw_op op, std::uint64_t operand, unsigned size,
                    std::memory_order order);
  bool cas(location& l, memory_thread& t, std::uint64_t& expected, std::uint64_t desired, unsigned size,
           std::memory_order success, std::memory_order failure, bool weak);
  void fence(memory_thread& t, std::memory_order order) noexcept;
  /// The newest value, as the kernel sees it.
  static std::uint64_t newest(location& l) noexcept { return l.at(l.newest).value; }

  /// An access to plain data by t, which has to be told from those before it.
  static void note_access(memory_thread& t) noexcept;
  static void spawn(memory_thread& parent, memory_thread& child) noexcept;
  static void join(memory_thread& joiner, const memory_thread& ended) noexcept;

 private:
  location& allocate(cell* c);
  std::uint32_t oldest_readable(location& l, memory_thread& t, std::memory_order order) noexcept;
  std::uint32_t choose_message(location& l, memory_thread& t, std::memory_order order);
  std::uint32_t choose_failing(location& l, memory_thread& t, std::uint64_t expected, std::memory_order order);
  std::uint32_t choose_position(location& l, memory_thread& t, std::memory_order order);
  message& insert(location& l, std::uint32_t position, memory_thread& t, std::uint64_t value) noexcept;
  void release_into(message& m, memory_thread& t, std::memory_order order) noexcept;
  void write_behind(location& l, memory_thread& t, std::uint64_t value, unsigned size, std::memory_order order);
  static std::uint64_t read(message& m, memory_thread& t, std::memory_order order) noexcept;
  void seq_cst_fence(memory_thread& t) noexcept;

  chooser& chooser_;
  bool weak_ = true;
  std::uint32_t execution_ = 0;
  std::uint32_t created_ = 0;    // locations in this execution
  std::uint32_t sc_stores_ = 0;  // in this execution
  clock fence_view_;             // visible to every seq_cst fence so far
  const char* problem_ = nullptr;
  std::deque<location> locations_;
  std::vector<std::uint32_t> free_;
  std::uint32_t used_ = 0;
};

}  // namespace model::detail
