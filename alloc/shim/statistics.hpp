// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace heddle::detail {

/// What malloc_stats() prints. For the end of a process whose option `stats` is set.
void print_statistics_at_exit() noexcept;

}  // namespace heddle::detail
