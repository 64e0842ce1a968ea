// SPDX-License-Identifier: BSL-1.0
//
// A library that allocates in its constructor, and for the program's earlier code.
#include <cstdlib>
#include <cstring>

#include "shim/circumstances/early.hpp"

namespace {

early_block blocks[64];
std::size_t used;

__attribute__((constructor(101))) void construct() { allocate_early("the constructor of a library"); }

}  // namespace

void allocate_early(const char* by) {
  for (std::size_t n : early_sizes) {
    std::free(std::malloc(n));
    auto* p = static_cast<char*>(std::calloc(1, n));
    p = static_cast<char*>(std::realloc(p, 2 * n));
    if (p) std::memset(p, 'e', n);
    blocks[used++] = {by, p, n};
  }
}

early_block* early_blocks(std::size_t& count) {
  count = used;
  return blocks;
}
