// SPDX-License-Identifier: BSL-1.0
#include "heddle/detail/same_build.hpp"

extern "C" {
extern const char HEDDLE_BUILT_WITH_SANITIZER = 0;
extern const char HEDDLE_BUILT_WITH_LOCK_RANKS = 0;
}
