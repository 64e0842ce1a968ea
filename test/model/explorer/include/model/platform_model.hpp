// SPDX-License-Identifier: BSL-1.0
//
// What heddle/detail/platform.hpp becomes with HEDDLE_MODEL=1: the same names in the same
// namespace, each operation a scheduling point of the explorer. Outside of an exploration
// everything acts at once, as in a program with a single thread.
#pragma once

#include <atomic>  // std::memory_order
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "model/access_history.hpp"
#include "model/plants.hpp"

namespace model::detail {

/// The head of every atomic: which location record stands for it, and in which execution. The value
/// follows 8 bytes behind the head and always holds the newest message, so that an atomic which
/// outlives its execution (a static) is found in the next one with the value it had.
struct cell {
  static constexpr std::uint32_t destroyed = 0xffffffffU;
  std::uint32_t record = 0;
  std::uint32_t execution = 0;  // 0: not seen by any execution yet
};

enum class rmw_op : std::uint8_t { exchange, add, sub, bit_or, bit_and, bit_xor };

void cell_create(cell* c, unsigned size) noexcept;
void cell_destroy(cell* c) noexcept;
std::uint64_t cell_load(cell* c, unsigned size, std::memory_order order) noexcept;
void cell_store(cell* c, unsigned size, std::uint64_t value, std::memory_order order) noexcept;
std::uint64_t cell_rmw(cell* c, unsigned size, rmw_op op, std::uint64_t operand, std::memory_order order) noexcept;
bool cell_cas(cell* c, unsigned size, std::uint64_t& expected, std::uint64_t desired, std::memory_order success,
              std::memory_order failure, bool weak) noexcept;
void cell_futex_wait(cell* word, std::uint32_t expected, std::int64_t deadline) noexcept;
void cell_futex_wake(cell* word, unsigned count) noexcept;

/// The failure order that the one-order forms of compare_exchange imply.
constexpr std::memory_order failure_order(std::memory_order order) noexcept {
  if (order == std::memory_order_acq_rel) return std::memory_order_acquire;
  if (order == std::memory_order_release) return std::memory_order_relaxed;
  return order;
}

}  // namespace model::detail

namespace heddle::detail::platform {

/// std::atomic under the explorer.
template <class T>
class alignas(8) atomic : model::detail::cell {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 8);
  using order = std::memory_order;
  static constexpr order seq_cst = std::memory_order_seq_cst;

 public:
  using value_type = T;
  static constexpr bool is_always_lock_free = true;

  constexpr atomic() noexcept : atomic(T{}) {}
  // NOLINTNEXTLINE(google-explicit-constructor): as std::atomic
  constexpr atomic(T value) noexcept : value_(value) {
    if (!std::is_constant_evaluated()) model::detail::cell_create(this, sizeof(T));
  }
  constexpr ~atomic() {
    if (!std::is_constant_evaluated()) model::detail::cell_destroy(this);
  }
  atomic(const atomic&) = delete;
  atomic& operator=(const atomic&) = delete;

  T load(order o = seq_cst) const noexcept { return from_bits(model::detail::cell_load(self(), sizeof(T), o)); }
  void store(T value, order o = seq_cst) noexcept { model::detail::cell_store(self(), sizeof(T), to_bits(value), o); }
  T exchange(T value, order o = seq_cst) noexcept { return rmw(model::detail::rmw_op::exchange, value, o); }
  T fetch_add(T n, order o = seq_cst) noexcept { return rmw(model::detail::rmw_op::add, n, o); }
  T fetch_sub(T n, order o = seq_cst) noexcept { return rmw(model::detail::rmw_op::sub, n, o); }
  T fetch_or(T n, order o = seq_cst) noexcept { return rmw(model::detail::rmw_op::bit_or, n, o); }
  T fetch_and(T n, order o = seq_cst) noexcept { return rmw(model::detail::rmw_op::bit_and, n, o); }
  T fetch_xor(T n, order o = seq_cst) noexcept { return rmw(model::detail::rmw_op::bit_xor, n, o); }

  bool compare_exchange_strong(T& expected, T desired, order success, order failure) noexcept {
    return cas(expected, desired, success, failure, false);
  }
  bool compare_exchange_strong(T& expected, T desired, order o = seq_cst) noexcept {
    return cas(expected, desired, o, model::detail::failure_order(o), false);
  }
  bool compare_exchange_weak(T& expected, T desired, order success, order failure) noexcept {
    return cas(expected, desired, success, failure, true);
  }
  bool compare_exchange_weak(T& expected, T desired, order o = seq_cst) noexcept {
    return cas(expected, desired, o, model::detail::failure_order(o), true);
  }

 private:
  friend void futex_wait(atomic<std::uint32_t>& word, std::uint32_t expected, std::int64_t deadline) noexcept;
  friend void futex_wake(atomic<std::uint32_t>& word, unsigned count) noexcept;

  cell* self() const noexcept { return const_cast<atomic*>(this); }
  static std::uint64_t to_bits(T value) noexcept {
    std::uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof(T));
    return bits;
  }
  static T from_bits(std::uint64_t bits) noexcept {
    T value;
    std::memcpy(&value, &bits, sizeof(T));
    return value;
  }
  T rmw(model::detail::rmw_op op, T operand, order o) noexcept {
    return from_bits(model::detail::cell_rmw(self(), sizeof(T), op, to_bits(operand), o));
  }
  bool cas(T& expected, T desired, order success, order failure, bool weak) noexcept {
    std::uint64_t bits = to_bits(expected);
    const bool done = model::detail::cell_cas(self(), sizeof(T), bits, to_bits(desired), success, failure, weak);
    expected = from_bits(bits);
    return done;
  }

  T value_;
};

/// A plain variable, of a static object as well, whose accesses must be ordered by happens-before. Whatever came before
/// the execution has happened before it.
template <class T>
class in_turns {
 public:
  constexpr in_turns(T value) noexcept : value_(value) {}  // NOLINT(google-explicit-constructor): a drop-in for T
  in_turns& operator=(T value) noexcept {
    history_.write(this);
    value_ = value;
    return *this;
  }
  operator T() const noexcept {  // NOLINT(google-explicit-constructor): a drop-in for T
    history_.read(this, model::detail::access_history::from_before::counts);
    return value_;
  }

 private:
  T value_;
  mutable model::detail::access_history history_;
};

void fence(std::memory_order order) noexcept;
/// Nothing at all: the explorer may show every reordering that the missing fence allows.
inline void light_barrier() noexcept {}
/// A seq_cst fence on every thread, each at its own moment between the call and the return.
void heavy_barrier() noexcept;

/// Virtual time: moves when every thread is blocked, when a timeout is made to race, and a little
/// with each call.
std::int64_t now() noexcept;

inline void futex_wait(atomic<std::uint32_t>& word, std::uint32_t expected,
                       std::int64_t deadline = std::numeric_limits<std::int64_t>::max()) noexcept {
  model::detail::cell_futex_wait(word.self(), expected, deadline);
}
inline void futex_wake(atomic<std::uint32_t>& word, unsigned count) noexcept {
  model::detail::cell_futex_wake(word.self(), count);
}

/// A scheduling point after which the caller is not chosen until another thread has written or all
/// spin.
void cpu_relax() noexcept;
void yield_thread() noexcept;

/// A model thread: a context on the one kernel thread that runs the exploration.
class thread {
 public:
  thread() noexcept = default;
  thread(void (*f)(void*), void* arg, const char* name);
  thread(thread&& other) noexcept : handle_(other.handle_) { other.handle_ = 0; }
  thread& operator=(thread&& other) noexcept {
    handle_ = other.handle_;
    other.handle_ = 0;
    return *this;
  }
  bool joinable() const noexcept { return handle_ != 0; }
  void join() noexcept;
  bool try_join() noexcept;

 private:
  unsigned long handle_ = 0;  // the thread's number in the execution, plus one
};

void* thread_slot() noexcept;
void set_thread_slot(void* value) noexcept;
const void* this_thread_mark() noexcept;

/// One of many, another one at each call: a thread may have moved meanwhile.
unsigned cpu_number() noexcept;

/// Virtual processor time: a microsecond for every scheduling point that the thread has passed.
using thread_clock = int;
thread_clock this_thread_clock() noexcept;
std::int64_t cpu_time(thread_clock clock) noexcept;

void preempt_point() noexcept;

}  // namespace heddle::detail::platform

#include "model/stop_model.hpp"
