// SPDX-License-Identifier: BSL-1.0
#include "barrier/words.hpp"

// A thread that the collector does not know is armed: its first store makes it known.
__thread std::uint8_t heddle_gc_armed = 1;
__thread std::uint8_t heddle_gc_critical = 0;
