// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace heddle::gc::detail {

/// From now on: when a destructor or a cleanup that the collector runs ends the process by std::terminate(), stderr
/// says first which it was, and what exception has left it. Then the handler goes on that was set before. A handler
/// that the program sets later takes its place until the next call. By one fiber or thread at a time: the one that runs
/// endings.
void name_endings_that_terminate() noexcept;

}  // namespace heddle::gc::detail
