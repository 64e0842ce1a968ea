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
  relaxed_bottom,         ///< so does the fresh queue
  take_without_exchange,  ///< a thief moves the head without comparing
  take_without_reread,    ///< a thief whose exchange failed tries the new head with the old slots
                          ///< (ABA)
  runnext_taken_twice,    ///< runnext is taken by a load and a store
  pop_without_fence,      ///< the owner of the fresh queue does not fence between bottom and top
  steal_without_fence,    ///< nor does the thief between top and bottom

  // runtime/src/scheduler.cpp, fiber.cpp
  overflow_loses_newest,  ///< the fiber that made the ring overflow is forgotten
  joined_though_stolen,   ///< a joiner runs the fiber it joins although a thief has it already
  join_overwrites_end,    ///< a joiner does not look whether the fiber has ended meanwhile

  // runtime/src/idle.cpp
  missing_recheck,            ///< a machine goes to sleep without a last look at the queues
  recheck_without_barrier,    ///< it looks without the heavy barrier that makes others' pushes visible
  reluctant_without_monitor,  ///< wakes are spared though no monitor makes up for them
  last_spinner_forgets,       ///< the last spinner that finds work wakes nobody for the rest
  machine_stays_listed,       ///< an idle machine that is woken stays in the idle list
  machine_believes_any_wake,  ///< an idle machine takes any return from futex_wait for the end
  timekeeper_stays,           ///< an earlier timer does not replace the one the timekeeper waits for
  revoke_without_barrier,     ///< the monitor reads `inside` without the heavy barrier

  // runtime/src/machine.hpp, monitor.cpp
  enter_ignores_revoked,    ///< a machine does not look whether its processor has been taken
  leave_without_release,    ///< the next owner of a processor need not see what the last one did to it
  deep_sleep_without_look,  ///< the monitor sleeps without a deadline although a processor has begun to work

  // runtime/src/late.hpp
  late_keeps_limit,  ///< on the way back to a segment a late machine leaves whatever the slot holds, mark or not

  // runtime: thread_mutex, waiter
  unlock_without_wake,      ///< unlock() wakes no sleeper
  lock_forgets_sleepers,    ///< a sleeper that gets the lock forgets that others sleep
  wake_before_commit_lost,  ///< a wake between the commit and the sleep is wiped out
  spurious_wake_believed,   ///< a parked thread takes any return from futex_wait for a wake

  // sync
  weak_failure_is_success,  ///< a lock is taken although compare_exchange_weak failed
  unlock_skips_queue,       ///< unlock() frees the mutex and wakes no waiter
  woken_bit_kept,           ///< a waiter that queues again leaves the bit that says one is awake
  waits_for_nobody,         ///< wait() sleeps although the count has reached zero meanwhile
  look_and_queue_apart,     ///< a channel is unlocked between the look and the wait
  close_misses_senders,     ///< close() wakes the receivers only
  receiver_woken_twice,     ///< a receiver that got its value stays in the queue
};

/// The bug planted in the running exploration.
extern plant planted;

}  // namespace model

#define HEDDLE_PLANTED(bug) (::model::planted == ::model::plant::bug)
