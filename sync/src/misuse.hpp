// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace heddle::detail {

/// Ends the process with one line on stderr: which kind of object, at which address, what was done to it and
/// what the caller can do about it. For errors after which no state of the object would be right.
[[noreturn]] void misuse(const char* kind, const void* object, const char* what) noexcept;
/// The same for an object that is destroyed while it is in use. That is no mistake when the process exits: then the
/// function returns.
void destroyed_in_use(const char* kind, const void* object, const char* what) noexcept;

}  // namespace heddle::detail
