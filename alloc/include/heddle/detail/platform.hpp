// SPDX-License-Identifier: BSL-1.0
//
// The one header through which heddle touches what the proof has to control: atomics, fences, parking,
// kernel threads and the clock. With HEDDLE_MODEL=1 the explorer under test/model replaces it, and the
// product's own sources run under a controlled schedule, weak memory and virtual time.
#pragma once

#include <cstdint>
#include <limits>

#include "heddle/detail/config.hpp"

namespace heddle::detail::platform {
/// Points in time and durations of the monotonic clock, in nanoseconds.
using nanoseconds_t = std::int64_t;
inline constexpr nanoseconds_t no_deadline = std::numeric_limits<nanoseconds_t>::max();
}  // namespace heddle::detail::platform

#if defined(HEDDLE_MODEL) && HEDDLE_MODEL
#include "model/platform_model.hpp"
#else
#include <atomic>
#include <ctime>
#include <stop_token>

namespace heddle::detail::platform {

template <class T>
using atomic = std::atomic<T>;
/// A variable that threads use one after the other, however they see to that: under the explorer a race is found.
template <class T>
using in_turns = T;

using std::stop_callback;
using std::stop_source;
using std::stop_token;

#if defined(__SANITIZE_THREAD__)
#define HEDDLE_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HEDDLE_TSAN 1
#endif
#endif

#ifdef HEDDLE_TSAN
// TSan ignores fences: a read-modify-write of one word shows it the order that the fence makes.
inline std::atomic<unsigned> tsan_fence_word{0};
#endif

/// A fence of the given order.
inline void fence([[maybe_unused]] std::memory_order order) noexcept {
#ifdef HEDDLE_TSAN
  tsan_fence_word.fetch_add(0, std::memory_order_acq_rel);  // both halves: stands for the fence below
#else
  std::atomic_thread_fence(order);
#endif
}

/// The cheap side of an asymmetric fence: keeps the compiler from reordering, costs nothing. Its other half
/// is heavy_barrier(), which makes every thread of the process execute a full fence.
inline void light_barrier() noexcept { std::atomic_signal_fence(std::memory_order_seq_cst); }

/// A full fence on every running thread of the process: membarrier(PRIVATE_EXPEDITED), about 1-12 us.
/// Falls back on slower ways where the kernel refuses the expedited one: a barrier of all processes, or a page that is
/// taken away.
HEDDLE_EXPORT void heavy_barrier() noexcept;

/// Monotonic time.
inline nanoseconds_t now() noexcept {
  timespec t;
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<nanoseconds_t>(t.tv_sec) * 1'000'000'000 + t.tv_nsec;
}

/// Sleeps while `word == expected`, until woken or until the absolute `deadline`. May return spuriously.
/// errno stays as it was.
HEDDLE_EXPORT void futex_wait(atomic<std::uint32_t>& word, std::uint32_t expected,
                              nanoseconds_t deadline = no_deadline) noexcept;
/// Wakes at most `count` threads that sleep on `word`. errno stays as it was.
HEDDLE_EXPORT void futex_wake(atomic<std::uint32_t>& word, unsigned count) noexcept;

inline void cpu_relax() noexcept { __builtin_ia32_pause(); }
HEDDLE_EXPORT void yield_thread() noexcept;

/// A kernel thread with a name, a small stack and all signals left as they are.
class HEDDLE_EXPORT thread {
 public:
  thread() noexcept = default;
  /// Starts f(arg). Throws std::system_error when the kernel has no thread to give.
  thread(void (*f)(void*), void* arg, const char* name);
  thread(thread&& other) noexcept : handle_(other.handle_) { other.handle_ = 0; }
  thread& operator=(thread&& other) noexcept {
    handle_ = other.handle_;
    other.handle_ = 0;
    return *this;
  }
  bool joinable() const noexcept { return handle_ != 0; }
  void join() noexcept;
  /// Joins it if it has ended; false if it has not.
  bool try_join() noexcept;

 private:
  unsigned long handle_ = 0;
};

/// One pointer per kernel thread. Never inlined: a fiber that moves between machines must not reuse the
/// address of the old machine's slot (CHECKLIST row 17).
HEDDLE_EXPORT void* thread_slot() noexcept;
HEDDLE_EXPORT void set_thread_slot(void* value) noexcept;

/// An address that names the calling kernel thread while it lives. Never inlined, for the same reason.
HEDDLE_EXPORT const void* this_thread_mark() noexcept;

/// The number of the CPU that the caller runs on, or did a moment ago. About a nanosecond; always 0 where the kernel or
/// the C library does not keep it in memory (rseq: Linux 4.18, glibc 2.35).
HEDDLE_EXPORT unsigned cpu_number() noexcept;

/// The CPU clock of a kernel thread, readable by other threads: how the monitor sees that one is blocked.
using thread_clock = clockid_t;
thread_clock this_thread_clock() noexcept;
nanoseconds_t cpu_time(thread_clock clock) noexcept;

/// A scheduling point for plain code under the explorer; nothing in the product.
inline void preempt_point() noexcept {}

}  // namespace heddle::detail::platform
#endif

/// True only where the explorer has planted the named bug, to show that it would be found.
#ifndef HEDDLE_PLANTED
#define HEDDLE_PLANTED(bug) false
#endif

namespace heddle::detail {
using platform::atomic;
using platform::in_turns;
using platform::nanoseconds_t;
using platform::no_deadline;
using platform::stop_callback;
using platform::stop_source;
using platform::stop_token;  // std's, but for the explorer
}  // namespace heddle::detail
