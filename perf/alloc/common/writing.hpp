// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "alloc/common/workload.hpp"

namespace perf {

/// Allocates an object, writes all of it `writes` times and frees it, `rounds` times.
inline void write_fresh_objects(std::uint64_t rounds, std::size_t size, std::uint64_t writes) {
  for (; rounds > 0; --rounds) {
    auto* object = static_cast<volatile unsigned char*>(obtain(size));
    for (std::size_t i = 0; i < size; ++i) object[i] = 0;
    for (std::uint64_t n = 0; n < writes; ++n) {
      auto& byte = object[n % size];
      byte = static_cast<unsigned char>(byte + 1);
    }
    const auto expected = static_cast<unsigned char>((writes + size - 1) / size);
    require(object[0] == expected, "somebody else wrote to an object");
    give_back(const_cast<unsigned char*>(object));
  }
}

}  // namespace perf
