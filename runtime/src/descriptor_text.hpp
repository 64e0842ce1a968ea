// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>

namespace heddle::detail {

/// Describes a descriptor of this process, for reports, in `buffer`: "127.0.0.1:80 - 127.0.0.1:4711" for a connection,
/// with its own address first, "pipe:[42]" as /proc has it for what is no socket or has no address. Allocates nothing.
const char* describe_descriptor(int fd, char* buffer, std::size_t size) noexcept;

}  // namespace heddle::detail
