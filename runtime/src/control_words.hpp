// SPDX-License-Identifier: BSL-1.0
//
// How the processor rounds. A fiber inherits this from its maker, as a thread does.
#pragma once

#include <cstdint>

namespace heddle::detail {

/// The SSE control and status word (rounding, flush to zero, denormals are zero, exception masks and flags) and the x87
/// control word (rounding, precision, masks).
///
/// 1. A fiber begins with those of its maker at the moment of go() or spawn(), and a machine with those of the thread
///    that started the runtime.
/// 2. They stay with the fiber while it is suspended: Boost.Context's switch carries them. The fast switch does not;
///    there they are restored when a fiber ends, and a fiber must not suspend with others than the runtime's.
/// 3. A fiber that lends its stack to the fiber that it joins has its own words again afterwards.
///
/// The x87 status word is not among them: to load it costs as much as ten switches.
/// Sources: ISO C 7.6, for the words of a new thread; the System V ABI, AMD64 supplement, section 3.2.1.
struct control_words {
  std::uint32_t sse;
  std::uint16_t x87;

  /// Reads them in place: a read of them in pieces of other sizes would wait until they are in memory.
  void take() noexcept {
    asm volatile(
        "stmxcsr %0\n\t"
        "fnstcw %1"
        : "=m"(sse), "=m"(x87));
  }
  static control_words current() noexcept {
    control_words now;
    now.take();
    return now;
  }
  void load() const noexcept {
    asm volatile(
        "ldmxcsr %0\n\t"
        "fldcw %1"
        :
        : "m"(sse), "m"(x87));
  }
};

}  // namespace heddle::detail
