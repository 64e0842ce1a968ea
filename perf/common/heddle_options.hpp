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
  return o;
}

}  // namespace perf
