// SPDX-License-Identifier: BSL-1.0
//
// What is switched: an execution is a suspended flow of control, either a fiber's or a machine's own.
#pragma once

#include <cxxabi.h>

#include <cstdint>

#include "control_words.hpp"
#include "heddle/detail/fake_frames.hpp"
#include "stack.hpp"
#include "switch.hpp"

#ifdef HEDDLE_ASAN
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef HEDDLE_TSAN
#include <sanitizer/tsan_interface.h>
#endif

namespace heddle::detail {

/// The Itanium C++ ABI's per-thread exception state: what `throw;` and std::uncaught_exceptions() read.
struct exception_state {
  void* caught = nullptr;
  unsigned uncaught = 0;
};

inline exception_state* thread_exception_state() noexcept {
  return reinterpret_cast<exception_state*>(abi::__cxa_get_globals());
}

class fiber;

/// A function that runs once the departed execution is off its stack.
using commit_fn = void (*)(void*);

/// A suspended flow of control.
///
/// 1. `context` is valid exactly while the execution is suspended; the one that runs next writes it.
/// 2. The exception state travels with it, since the ABI keeps it per thread.
/// 3. `memory` and `limit` of the running one change as its stack grows; see segment.hpp.
/// 4. The one that departs says before which commit the next one is to make, and with which argument. A parked fiber is
/// in no
///    list, so both stay, and tell reports and collectors what it waits at.
struct execution {
  void* context = nullptr;
  union {
    void* caught = nullptr;
    control_words begins_with;  ///< of a fiber that has not begun
  };
  unsigned uncaught = 0;
  std::uint32_t stack_class = 0;  ///< of a fiber: index of the pool of its first stack
  stack* memory = nullptr;        ///< null until a fiber first runs
  char* limit = nullptr;          ///< memory->limit, at hand for the switch
  union {
    fiber* next = nullptr;  ///< of a fiber: in the one list that holds it
    void* waits_at;         ///< of a departed one: the argument of its commit, see wait_argument
  };
  union {
    fiber* ahead = nullptr;  ///< of a fiber: some fibers further in the batch with which it went into the global queue
    commit_fn commit;        ///< of a departed one; null: none
  };

  void save_exceptions(const exception_state& of_thread) noexcept {
    caught = of_thread.caught;
    uncaught = of_thread.uncaught;
  }
  void restore_exceptions(exception_state& of_thread) const noexcept {
    of_thread.caught = caught;
    of_thread.uncaught = uncaught;
  }
  void depart_with(commit_fn c, void* argument) noexcept {
    waits_at = argument;
    commit = c;
  }
  void stand_on(stack& s) noexcept {
    memory = &s;
    limit = s.limit;
  }
};

#ifdef HEDDLE_ASAN
// A stack keeps its fake stack, whichever fiber runs on it.
inline void sanitizer_leave(const execution& from, const execution& to) noexcept {
  __sanitizer_start_switch_fiber(&from.memory->fake_stack, to.memory->bottom, to.memory->size);
}
inline void sanitizer_arrive(const execution& self) noexcept {
  __sanitizer_finish_switch_fiber(self.memory->fake_stack, nullptr, nullptr);
}
/// A collector may scan the stack from now on, though the caller goes on.
inline void sanitizer_show(const execution& self) noexcept { self.memory->fake_stack = current_fake_stack(); }
#elif defined(HEDDLE_TSAN)
inline void sanitizer_leave(const execution&, const execution& to) noexcept {
  __tsan_switch_to_fiber(to.memory->tsan_fiber, 0);
}
inline void sanitizer_arrive(const execution&) noexcept {}
inline void sanitizer_show(const execution&) noexcept {}
#else
inline void sanitizer_leave(const execution&, const execution&) noexcept {}
inline void sanitizer_arrive(const execution&) noexcept {}
inline void sanitizer_show(const execution&) noexcept {}
#endif

}  // namespace heddle::detail
