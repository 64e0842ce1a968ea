// SPDX-License-Identifier: BSL-1.0
//
// The bugs that can be planted in the product's own source, to show that the explorer would find
// them. The product asks `HEDDLE_PLANTED(name)`, which is the constant false everywhere but under
// HEDDLE_MODEL=1.
#pragma once

#include <cstdint>

namespace model {

enum class plant : std::uint8_t {
  none,  ///< the product as it is
};

/// The bug planted in the running exploration.
extern plant planted;

}  // namespace model

#define HEDDLE_PLANTED(bug) (::model::planted == ::model::plant::bug)
