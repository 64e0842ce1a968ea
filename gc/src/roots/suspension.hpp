// SPDX-License-Identifier: BSL-1.0
//
// Stops a thread for as long as its stack is scanned: by a signal, whose handler waits until it may return. While one
// is stopped the collector takes no lock of the program's.
//
// The word of a suspension: the number of the request, and how far it is. Only the collector makes requests and ends
// them; only the handler answers, and only a request that names its thread. So a stray signal does nothing, and a
// handler that comes late finds nothing to answer.
#pragma once

#include <signal.h>
#include <ucontext.h>

#include <atomic>
#include <cstdint>

#include "heddle/detail/fiber_roots.hpp"
#include "heddle/detail/platform.hpp"

namespace heddle::gc::detail {

/// How a thread has answered.
enum class answer : std::uint8_t {
  stopped,  ///< it stands still until release()
  busy,     ///< it may hold a lock of the collector's or the runtime's, or is on a stack that is not its own
  gone,     ///< there is no such thread any more
};

/// A request to one thread at a time. Its memory must stay, since a handler may look at it at any time: statics, or
/// others that are never freed. Used by the collector's thread.
class suspension {
 public:
  constexpr suspension() noexcept = default;
  suspension(const suspension&) = delete;
  suspension& operator=(const suspension&) = delete;

  /// Asks the thread with that number to stop, and waits for the answer. Says on stderr, once, if none has come for
  /// seconds: the thread has blocked the signal.
  answer stop(int thread) noexcept;
  /// The thread goes on.
  void release() noexcept;

  /// Whether what the thread had in registers is in registers(), or on its stack from stack_pointer() up.
#ifdef HEDDLE_TSAN
  static constexpr bool has_registers = false;
#else
  static constexpr bool has_registers = true;
#endif
  /// While it is stopped: what has been interrupted, and the registers.
  const heddle::detail::interrupted& found() const noexcept { return found_; }
  const ucontext_t& registers() const noexcept { return *registers_; }
  void* fake_stack() const noexcept { return fake_stack_; }  ///< see fake_frames.hpp
  std::uintptr_t stack_pointer() const noexcept { return stack_pointer_; }
  int thread() const noexcept { return thread_.load(std::memory_order_relaxed); }

  /// The signal that is used; 0 if the program has taken all. Installs the handler at the first call.
  static int signal_number() noexcept;

 private:
  enum phase : std::uint32_t { idle, asked, busy, stopped, phases = 4 };
  static void handle(int, siginfo_t*, void* context) noexcept;
  static int take_signal() noexcept;
  void meet(ucontext_t& context, std::uint32_t asked_word) noexcept;
  void list() noexcept;

  static std::atomic<suspension*> all_;

  std::atomic<std::uint32_t> word_{0};
  std::atomic<int> thread_{0};
  heddle::detail::interrupted found_{};
  const ucontext_t* registers_ = nullptr;
  std::uintptr_t stack_pointer_ = 0;
  void* fake_stack_ = nullptr;
  suspension* next_ = nullptr;
  bool listed_ = false;
};

}  // namespace heddle::gc::detail
