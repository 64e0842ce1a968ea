// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <string>

namespace perf {

inline constexpr std::size_t kib = 1'024;
inline constexpr std::size_t mib = 1'024 * kib;

/// What the micro benchmarks measure: powers of two, and some of what lies between them.
inline constexpr std::size_t sizes[] = {16,        24,       32,          48,       64,       96,        128,
                                        192,       256,      512,         kib,      1'536,    2 * kib,   4 * kib,
                                        8 * kib,   16 * kib, 32 * kib,    48 * kib, 64 * kib, 128 * kib, 256 * kib,
                                        512 * kib, mib,      3 * mib / 2, 2 * mib,  4 * mib,  8 * mib,   16 * mib};

}  // namespace perf
