// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>

/// Blocks that were allocated before main, by whom.
struct early_block {
  const char* by;
  char* at;
  std::size_t size;
};

inline constexpr std::size_t early_sizes[] = {1, 24, 100, 5000, 100'000, 3'000'000};

/// Notes blocks of all these sizes, each filled with 'e'. In the shared library, so that its constructor can call it.
void allocate_early(const char* by);
early_block* early_blocks(std::size_t& count);
