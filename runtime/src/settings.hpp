// SPDX-License-Identifier: BSL-1.0
//
// What the code asked for, what the environment says, and what the machine has.
#pragma once

#include "heddle/run.hpp"

namespace heddle::detail {

/// `given` with HEDDLE's keys laid over it and procs filled in. Throws std::invalid_argument for a value of `given`
/// that is out of range; errors in the environment go to stderr, and end the process under abort_conf.
options effective_options(options given);

/// CPUs in the affinity mask, no more than the cgroup's CPU quota rounded up, at least 1. `root`: as cpu_quota() has
/// it.
unsigned usable_processors(const char* root = "") noexcept;

}  // namespace heddle::detail
