// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <exception>

#include "heddle/detail/config.hpp"

namespace heddle::detail {

/// "std::runtime_error: cannot bind" into `buffer`, of the exception that is being handled. For what is said before the
/// process ends.
HEDDLE_EXPORT void describe_exception(char* buffer, std::size_t size) noexcept;

/// An exception that nobody will get: says so, or ends the process, as options::lost_exceptions says. `of` had it, and
/// it is lost `since`.
HEDDLE_EXPORT void lose_exception(const char* of, const char* since, const std::exception_ptr& lost) noexcept;

/// Names the running fiber as reports do; malloc'ed, or null without memory.
HEDDLE_EXPORT char* name_of_running() noexcept;

}  // namespace heddle::detail
