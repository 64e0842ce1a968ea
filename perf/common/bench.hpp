// SPDX-License-Identifier: BSL-1.0
//
// What every contender needs: its arguments, the clock, the report.
#pragma once

#include "common/arguments.hpp"
#include "common/measure.hpp"
#include "common/memory.hpp"
#include "common/report.hpp"
