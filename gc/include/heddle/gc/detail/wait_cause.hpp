// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "heddle/detail/config.hpp"

namespace heddle::gc {

/// Why a fiber or a thread waits for the collector.
enum class wait_cause : std::uint8_t {
  handshake,  ///< the collector was at the thread's cache, or the thread used the heap for the first time
  assist,     ///< it marked for the collector, because it had allocated much
  cycle,      ///< for the end of a cycle, because it had allocated too much, or for destructors that were due
  scan,       ///< its stack, registers and thread-locals were read: it stood still in a signal handler
};
inline constexpr std::size_t wait_causes = 4;

}  // namespace heddle::gc
