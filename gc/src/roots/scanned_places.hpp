// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace heddle::gc::detail {

/// Whether the collector looks for an address in the word at p: in a collected object whose type has addresses, on a
/// stack of a fiber or of a thread that it knows, in a closure of a fiber, a global, a thread-local, a listed range, or
/// an exception that the caller has caught. For debugging: O(fibers + threads + libraries + listed ranges), under
/// locks. Not while the caller is in a function of the collector.
bool is_scanned(const void* p) noexcept;

}  // namespace heddle::gc::detail
