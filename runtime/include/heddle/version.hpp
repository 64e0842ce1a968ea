// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "heddle/detail/config.hpp"

// The build reads these lines: they are where the version is stated.
#define HEDDLE_VERSION_MAJOR 0
#define HEDDLE_VERSION_MINOR 1
#define HEDDLE_VERSION_PATCH 0
#define HEDDLE_VERSION_STRING "0.1.0"

/// To be compared by the preprocessor: 0.1.0 is 100.
#define HEDDLE_VERSION (HEDDLE_VERSION_MAJOR * 10000 + HEDDLE_VERSION_MINOR * 100 + HEDDLE_VERSION_PATCH)
