// SPDX-License-Identifier: BSL-1.0
//
// The collector's own thread-locals. No function may hold an address of it over a point where its fiber may be
// suspended.
#pragma once

#include "barrier/mutator.hpp"

#if defined(HEDDLE_MODEL) && HEDDLE_MODEL  // whose threads are all of one kernel thread
namespace heddle::gc::detail {
mutator_state& words() noexcept;
mutator*& this_mutator() noexcept;
}  // namespace heddle::gc::detail
#else

/// Read by code outside of the library, by these offsets: see armed() in barrier.hpp, and count_call in
/// count_words.hpp.
static_assert(offsetof(heddle::gc::detail::mutator_state, armed) == 0 &&
              offsetof(heddle::gc::detail::mutator_state, notes) == 1 &&
              offsetof(heddle::gc::detail::mutator_state, inserts) == 2 &&
              offsetof(heddle::gc::detail::mutator_state, critical) == 3 &&
              offsetof(heddle::gc::detail::mutator_state, count_base) == 4 &&
              offsetof(heddle::gc::detail::mutator_state, shelves) == 8);
extern "C" HEDDLE_EXPORT constinit thread_local heddle::gc::detail::mutator_state heddle_gc_words
    __attribute__((tls_model("initial-exec")));

namespace heddle::gc::detail {

extern constinit thread_local mutator* mutator_of_thread __attribute__((tls_model("initial-exec")));

/// The calling thread's.
inline mutator_state& words() noexcept { return heddle_gc_words; }
/// The calling thread's; null: the collector does not know it.
inline mutator*& this_mutator() noexcept { return mutator_of_thread; }

}  // namespace heddle::gc::detail
#endif

namespace heddle::gc::detail {

/// Whether the calling thread is in a function of the collector that must be over before the collector stops it, or
/// changes the phase: it may hold a lock of the collector. For signal handlers.
inline bool in_critical() noexcept { return words().critical.load(std::memory_order_relaxed) != 0; }

}  // namespace heddle::gc::detail
