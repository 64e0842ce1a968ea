// SPDX-License-Identifier: BSL-1.0
//
// What each thread has in its thread-locals for the fast paths.
#pragma once

#include <cstdint>

#include "heddle/gc/detail/barrier.hpp"

/// Not 0: the thread is in a function of the collector that must be over before the collector changes the phase, or
/// stops the thread: it may hold a lock of the collector.
extern "C" __attribute__((visibility("hidden"), tls_model("initial-exec"))) __thread std::uint8_t heddle_gc_critical;
