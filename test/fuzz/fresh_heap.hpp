// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>

#include "options.hpp"

namespace heddle::testing {

/// For as long as it lives the allocator is as in a process that has just begun, with these options; afterwards it is
/// again as if it had never been called. Until then no block may be in use, and no thread but the calling one know it.
class fresh_heap {
 public:
  fresh_heap(const detail::alloc_options& options, std::size_t address_space);
  ~fresh_heap();
  fresh_heap(const fresh_heap&) = delete;
  fresh_heap& operator=(const fresh_heap&) = delete;
};

}  // namespace heddle::testing
