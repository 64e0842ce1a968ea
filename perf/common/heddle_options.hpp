// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <heddle/run.hpp>

#include "common/arguments.hpp"

namespace perf {

/// What heddle's contenders run with; a build for segmented stacks says by PERF_SEGMENT what a fiber begins with.
inline heddle::options heddle_options(const arguments& args) {
  heddle::options o;
  o.procs = args.procs();
#ifdef PERF_SEGMENT
  o.segment_size = PERF_SEGMENT;
#endif
#ifdef PERF_STACK
  o.stack_size = PERF_STACK;
#endif
  return o;
}

/// fiber_options::stack_size for 10,000 frames: stacks that grow need no size.
#ifdef PERF_SEGMENT
inline constexpr std::size_t deep_stack = 0;
#else
inline constexpr std::size_t deep_stack = std::size_t{4} << 20;
#endif

}  // namespace perf
