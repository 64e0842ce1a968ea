// SPDX-License-Identifier: BSL-1.0
//
// Stacks as roots: those of all fibers, and of all threads that the collector knows, each with the registers of what
// runs on it.
#pragma once

#include <pthread.h>

#include <cstddef>

#include "heddle/detail/fiber_roots.hpp"
#include "roots/leak_look.hpp"
#include "roots/sink.hpp"

namespace heddle::gc::detail {

using heddle::detail::standing_fibers;

/// Is called while a known thread is stopped, to read its thread-locals. Under the same rules as a sink. False: not
/// all could be read; the thread is let go, and asked again.
using of_stopped_thread = bool (*)(root_sink& sink, pthread_t thread);

/// Scans the stack of every fiber and of every known thread once, each at a moment when it does not run; the others run
/// on meanwhile. Fibers and threads that begin meanwhile are scanned too, unless a scanned one has begun them.
/// For the collector's thread, which is never scanned itself; one at a time. O(fibers + bytes of stacks in use); a
/// running fiber stands still for as long as its stack is scanned, and some 20 us.
/// `look`: which fibers are put off until nothing else is left; it is asked some hundred times at most to mark what has
/// been reached. In the end they are scanned, too.
/// `standing`: whether fibers are passed over that have been suspended since an earlier scan, and whose stacks nobody
/// has written into. Returns how many were.
/// `verifies`: their stacks are read all the same, and must be as they were.
std::size_t scan_stacks(root_sink& sink, of_stopped_thread also = nullptr, leak_look* look = nullptr,
                        standing_fibers standing = standing_fibers::scanned, bool verifies = false) noexcept;

}  // namespace heddle::gc::detail
