// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace heddle::gc::detail {

/// Has end(argument) called when the calling thread ends; the last call counts. `end` is the same in all calls. Without
/// memory the process ends.
void at_thread_end(void (*end)(void*), void* argument) noexcept;

/// Ends the process: the collector cannot do what is named, and could not do without.
[[noreturn]] void end_without_memory(const char* what) noexcept;

}  // namespace heddle::gc::detail
