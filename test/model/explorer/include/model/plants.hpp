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

  // runtime/src/run_queue.hpp
  relaxed_tail,           ///< the ring publishes a slot without release
  take_without_exchange,  ///< a thief moves the head without comparing
  runnext_taken_twice,    ///< runnext is taken by a load and a store
  pop_without_fence,      ///< the owner of the fresh queue does not fence between bottom and top

  // runtime/src/scheduler.cpp
  overflow_loses_newest,  ///< the fiber that made the ring overflow is forgotten

  // runtime/src/idle.cpp
  missing_recheck,         ///< a machine goes to sleep without a last look at the queues
  revoke_without_barrier,  ///< the monitor reads `inside` without the heavy barrier
};

/// The bug planted in the running exploration.
extern plant planted;

}  // namespace model

#define HEDDLE_PLANTED(bug) (::model::planted == ::model::plant::bug)
