// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>

namespace heddle::gc::detail {

/// So many endings may be due while so many bytes live: one for each KiB, and always ten thousand.
constexpr std::size_t most_endings_due(std::size_t live) noexcept {
  constexpr std::size_t least = 10'000;
  return live / 1024 < least ? least : live / 1024;
}

/// Returns when no more are due; true: that took a wait. Blocks the fiber, or the plain thread; not one that is inside
/// of an ending. It gives up when no ending has ended for 100 ms, though its thread slept or computed, and nobody waits
/// again until one has: one that never returns stops nobody else. While other programs have the processors, so that the
/// endings' thread could run and does not, it goes on waiting.
bool await_endings(std::size_t live) noexcept;

}  // namespace heddle::gc::detail
