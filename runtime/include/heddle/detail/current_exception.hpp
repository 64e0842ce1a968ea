// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>

#include "heddle/detail/config.hpp"

namespace heddle::detail {

/// "std::runtime_error: cannot bind" into `buffer`, of the exception that is being handled. For what is said before the
/// process ends.
HEDDLE_EXPORT void describe_exception(char* buffer, std::size_t size) noexcept;

}  // namespace heddle::detail
