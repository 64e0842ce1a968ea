// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <ucontext.h>

#include "roots/sink.hpp"

namespace heddle::gc::detail {

/// Tells the sink of the general registers of a signal's frame, and of the vector registers that the kernel saved in
/// it.
void scan_registers(const ucontext_t& context, root_sink& sink) noexcept;

/// Zeroes the caller's vector registers. A call need not keep them, so nobody misses them; but what the last function
/// to use them has left stays there while the thread sleeps, and would keep objects.
void forget_vectors() noexcept;

}  // namespace heddle::gc::detail
