// SPDX-License-Identifier: BSL-1.0
//
// What each thread has in its thread-locals. No function may hold an address of it over a point where its fiber may be
// suspended.
#pragma once

#include "barrier/mutator.hpp"

/// The first byte is read by code outside of the library, see armed() in barrier.hpp.
extern "C" HEDDLE_EXPORT constinit thread_local heddle::gc::detail::mutator_state heddle_gc_words
    __attribute__((tls_model("initial-exec")));

namespace heddle::gc::detail {

/// The calling thread's; null: the collector does not know it.
extern constinit thread_local mutator* this_mutator __attribute__((tls_model("initial-exec")));

/// Whether the calling thread is in a function of the collector that must be over before the collector stops it, or
/// changes the phase: it may hold a lock of the collector. For signal handlers.
inline bool in_critical() noexcept { return heddle_gc_words.critical.load(std::memory_order_relaxed) != 0; }

}  // namespace heddle::gc::detail
