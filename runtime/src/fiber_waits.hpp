// SPDX-License-Identifier: BSL-1.0
//
// The primitive or the descriptor at which a parked fiber waits, and the frames in which it stands.
#pragma once

#include "fiber.hpp"
#include "heddle/detail/fiber_roots.hpp"

namespace heddle::detail {

/// Whether f is parked at objects that `judge` says nothing reaches, at all of them if it is a select, so that neither
/// a deadline nor a stop request can end the wait. One of the objects comes back, or null. f is off its stack, and the
/// collector holds it: so it cannot run, and if the state is `parked` after the argument has been read as well, nobody
/// has made it ready in between.
const void* waits_unreached(const fiber& f, wait_judge& judge) noexcept;

/// The descriptor for which f waits, or null: on its stack, valid until f is woken.
const descriptor_wait* waits_at_descriptor(const fiber& f) noexcept;

}  // namespace heddle::detail
