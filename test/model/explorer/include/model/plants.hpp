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
  timekeeper_stays_late,      ///< one that found all processors busy still counts as the one that keeps the time
  pinned_keeps_processor,     ///< a fiber that waits inside blocking() keeps its processor
  lender_looks_once,          ///< a fiber that lends its processor does not look for what others have queued meanwhile
  lender_forgets_time,        ///< it leaves its timers to nobody
  rejoins_uncounted,          ///< one that has a processor again still counts as one without
  leaver_forgets,             ///< a machine that is dismissed does not look for work that it would have done itself
  revoke_without_barrier,     ///< the monitor reads `inside` without the heavy barrier

  // runtime/src/poll
  poll_begins_on_closed,       ///< an operation begins on a descriptor that is closed
  poll_closes_watched,         ///< a descriptor is closed before the kernel's queue lets go of it
  poll_keeps_generation,       ///< the next user of a slot has the generation of the one before
  poll_close_wakes_nobody,     ///< close() leaves those that wait to themselves
  poll_second_close_hurries,   ///< a second close() returns while the first one waits
  poll_one_closer_is_known,    ///< of several that close, the end of the last operation wakes one
  poll_clears_new_event,       ///< an operation that found nothing wipes out an event that has come since
  poll_believes_old_event,     ///< an event is given to whoever has the slot now
  poll_forgets_the_end,        ///< the end behind the data is forgotten when those have been read
  poll_keeps_the_rest,         ///< a reader that leaves something does not tell the next one
  poll_waits_on_closed,        ///< a wait begins though the descriptor was closed meanwhile
  poll_waits_without_look,     ///< a wait begins though an event has come meanwhile
  poll_alarm_rings_once,       ///< an alarm that rings too early does not ring again
  poll_alarm_stays_late,       ///< an earlier deadline does not move it
  poll_leaver_stays_queued,    ///< a waiter whose wait was stopped stays in the queue
  poller_opened_relaxed,       ///< whoever polls need not see that the queue has been opened
  poller_released_relaxed,     ///< the next one that polls need not see what the last one has left
  poller_hides,                ///< whoever wakes a machine need not see that it polls
  rouse_relaxed,               ///< a machine that begins to poll need not see that it was woken
  lender_leaves_poller,        ///< a processor is lent though nobody else polls
  monitor_leaves_poller,       ///< the monitor leaves it to machines to poll, though all are busy
  poller_not_interrupted,      ///< whoever wakes a machine that polls does not interrupt it
  poller_sleeps_though_woken,  ///< a machine sleeps in the poller without a look whether it was woken
  leaver_heeds_dead_alarms,  ///< it has alarms looked after that ring for nobody, and that machine is dismissed in turn
  leaver_leaves_poller,      ///< a machine that is dismissed while it polls tells nobody

  // runtime/src/machine.hpp, monitor.cpp
  enter_ignores_revoked,    ///< a machine does not look whether its processor has been taken
  leave_without_release,    ///< the next owner of a processor need not see what the last one did to it
  sleeps_on_held_calls,     ///< the monitor goes to sleep though a call is held
  deep_sleep_without_look,  ///< the monitor sleeps without a deadline although a processor has begun to work
  nap_relaxed,              ///< it looks whether a call was ever announced before its nap is seen
  first_call_relaxed,       ///< the first announced call looks at the nap before it is seen itself

  // runtime/src/late.hpp
  late_keeps_limit,  ///< on the way back to a segment a late machine leaves whatever the slot holds, mark or not

  // runtime/src/scan_mark.hpp, fiber_roots.cpp
  claims_without_barrier,  ///< the collector looks at fibers without a heavy barrier after its claims
  resumes_while_scanned,   ///< a machine does not wait for the scan of a fiber
  scans_without_claim,     ///< a fiber is scanned though a machine has taken the claim away
  scans_whatever_it_does,  ///< a fiber is scanned without a look at its state
  departures_not_awaited,  ///< a fiber that parks is scanned before it is off its stack
  scan_ends_relaxed,       ///< a machine need not see that a scan has read what the fiber changes
  runs_frozen,             ///< a fiber that is resumed stays frozen

  // runtime/src/standing.hpp, watched_stacks.hpp
  parked_stack_skipped_though_written,  ///< a frozen fiber is passed over whatever the kernel says of its stack
  protected_when_read,                  ///< the pages of a stack are protected after it has been read

  // runtime: thread_mutex, waiter
  unlock_without_wake,      ///< unlock() wakes no sleeper
  lock_forgets_sleepers,    ///< a sleeper that gets the lock forgets that others sleep
  wake_before_commit_lost,  ///< a wake between the commit and the sleep is wiped out
  spurious_wake_believed,   ///< a parked thread takes any return from futex_wait for a wake
  two_end_a_wait,           ///< who ends a wait does not see that it was signalled already
  wakes_need_open_runtime,  ///< while a thread looks whether the runtime may end, a plain thread's wake is dropped
  end_by_counts,            ///< the runtime ends when no fiber is counted any more, whatever machines do
  idle_again,               ///< a deadlock is seen though a fiber has run between two looks at idle processors
  drained_for_ever,         ///< exit waits without end for a fiber that a thread has started at the last moment
  end_awaited_for_ever,     ///< exit waits without end for another thread that ends the runtime
  early_end_ignored,        ///< a sleeper sleeps although its wait has ended before

  // sync
  weak_failure_is_success,    ///< a lock is taken although compare_exchange_weak failed
  unlock_skips_queue,         ///< unlock() frees the mutex and wakes no waiter
  woken_bit_kept,             ///< a waiter that queues again leaves the bit that says one is awake
  waits_for_nobody,           ///< wait() sleeps although the count has reached zero meanwhile
  look_and_queue_apart,       ///< a channel is unlocked between the look and the wait
  close_misses_senders,       ///< close() wakes the receivers only
  receiver_woken_twice,       ///< a receiver that got its value stays in the queue
  child_not_counted,          ///< a group's child is not counted before it starts
  counted_off_early,          ///< a group's child gives back its place after it was counted off
  failure_after_end,          ///< a group's child is counted off before its exception is kept
  last_failure_kept,          ///< a group keeps the last exception instead of the first
  stop_before_cause,          ///< a group's stop is requested before its cause is written
  stop_misses_spawner,        ///< a stop does not end the wait for a place under a limit
  place_given_unclaimed,      ///< a place is given to one whose wait for it has ended
  watcher_not_joined,         ///< a group ends while the fiber that watches its deadline still runs
  condition_queues_late,      ///< a waiter at a condition variable unlocks the mutex before it is queued
  notify_spent_on_ended,      ///< notify_one is content with a waiter whose wait has ended otherwise
  lone_waiter_forgotten,      ///< who joins one that waits alone leaves it out of the queue
  latecomer_forgotten,        ///< notify finds its queue empty and overlooks one that waits alone since then
  leaver_stays_queued,        ///< a waiter that nobody notified leaves without taking itself out
  leavers_not_awaited,        ///< a condition variable goes while waiters that nobody notified are leaving
  taken_without_claim,        ///< who takes a send or receive with bounds out of a queue does not claim it
  timed_out_stays_queued,     ///< a send or receive that has timed out leaves itself in the queue
  wakeup_swallowed,           ///< who finds that the first in a queue has ended its wait serves none behind it
  loser_stays_queued,         ///< a select leaves the cases that were not chosen in their queues
  claimed_though_not_served,  ///< a claimed receiver into whose place a move threw is not told to go round
  once_ends_by_store,         ///< call_once overwrites the list of those who wait instead of exchanging it
  once_failure_wakes_nobody,  ///< those who wait for a call that throws are not told
  owed_though_gone,           ///< a semaphore goes while another thread gives the permits that a handler has released
  waiting_bit_kept,           ///< who leaves a countdown as the last leaves the bit that says somebody waits
  zero_under_lock,            ///< a countdown is made zero under its lock though nobody waits any more
  permits_for_one_who_left,   ///< a semaphore gives permits to a waiter whose wait has ended otherwise
  leaver_serves_nobody,       ///< a waiter that leaves a semaphore does not let those behind it go
  waits_for_ended_phase,      ///< a wait at a barrier sleeps although the phase has ended meanwhile
  completion_after_phase,     ///< a barrier's waiters are released before the completion has run
  two_set_a_future,           ///< two who set a result do not exclude each other
  leaver_keeps_woken,         ///< so does one that gives up
  leaver_clears_queued,       ///< a waiter that gives up clears `queued` although others wait
  leaver_stays_linked,        ///< it stays in the queue
  passed_over_stay_queued,    ///< unlock() leaves `queued` set when the waits of all have ended
  reader_leaves_relaxed,      ///< the next writer need not see that a reader has read
  last_reader_serves_not,     ///< the last reader leaves without a look at the queue
  last_reader_looks_once,     ///< it does not look again whether it is the last one
  looker_does_not_serve,      ///< nor does one that has looked in, though the last reader left it to that
  looker_stays_counted,       ///< a reader that must queue stays counted as one that is inside
  one_reader_admitted,        ///< a writer that unlocks wakes one reader only
  leaver_forgets_readers,     ///< a writer that gives up leaves the readers waiting that waited because of it
  slot_without_fence,         ///< a reader puts itself into a slot without order before its look at the word
  slot_left_relaxed,          ///< the next writer need not see that one who leaves by a slot has read
  bias_not_looked_at_again,   ///< a reader that has taken a slot does not look whether slots still count
  bias_cleared_relaxed,       ///< a writer ends the bias without order before its look at the slots
  slots_not_moved,            ///< a writer does not look at the slots
  bias_ends_unannounced,      ///< while the slots are moved the lock looks free
  moved_not_counted,          ///< what was moved out of the slots is not added to the count
  mover_forgets_others,       ///< a try_lock() that ends the bias hides who left by slots from the next writer
  bias_despite_flags,         ///< a reader sets the bias though a writer waits
  leaver_keeps_starving,      ///< the last one that gives up leaves the mode in which the mutex goes from hand to hand
  queued_before_asleep,       ///< a select is unlocked when it has queued its cases, before its waiter is asleep
  stale_tick_stays,           ///< stop() and reset() of a timer leave the value that was sent before
  room_not_told,              ///< a select that waits for room in a channel is not told of it
  fires_though_reset,         ///< a timer whose deadline was changed while it woke fires for the old one

  // runtime/net/src/memory
  memory_end_overtakes,         ///< the end of a stream arrives before bytes that were sent before it
  memory_room_not_told,         ///< a writer is not told that the peer has read
  memory_close_misses_writers,  ///< close() wakes the readers only
  memory_deadline_not_told,     ///< one that waits is not told that its deadline was moved
  memory_backlog_not_told,      ///< one that connects is not told that another was accepted
  memory_reset_not_told,        ///< one that waits is not told of a reset

  // alloc
  watch_without_look,         ///< a full span is watched without a look whether others have freed some of it
  watch_kept,                 ///< who frees a block of a watched span leaves it watched
  look_leaves_watch,          ///< so does its owner when it is not full any more
  notice_forgotten,           ///< the owner does not remember that somebody is about to tell it of a block
  given_up_with_notice_due,   ///< it remembers, and gives the span up all the same
  drained_with_notice_due,    ///< so does a cache whose thread ends
  reclaimed_in_use,           ///< a cache is drained by another though a thread has taken it again
  sent_without_release,       ///< who takes blocks that others have freed need not see that those have done with them
  collected_without_acquire,  ///< the other half of that
  flag_kept,                  ///< who takes a span that nobody owned leaves the mark of that
  left_after_flag,            ///< a span is marked as nobody's before it says how many of its blocks are in use
  given_without_collecting,   ///< a span is given up without a look at what others have freed meanwhile
  taken_stays_listed,         ///< a span that has been taken still says that it is in the mcentral
  emptied_of_another,         ///< who has freed the last block does not look whether the span is still there
  found_by_one_look,          ///< who looks a collected block up does not look whether its span has ended meanwhile
  in_use_without_release,     ///< who sees that a collected block is in use need not see the life of its span
  bytes_without_release,      ///< who sees the size of a collected block need not see that it is another life's
  cleared_when_free,          ///< a collected block is free before it says that it is not in use
  tidied_stay_free,           ///< blocks whose memory was given back stay in the list
  fork_without_fence,         ///< the thread that forks reads the marks of others without the fence
  fork_waits_for_nobody,      ///< a fork does not wait for threads at work
  worker_looks_not,           ///< a thread that begins to work does not look whether another forks
  worker_leaves_relaxed,      ///< the thread that forks need not see the work of the last thread
  waiter_looks_once,          ///< a thread that has waited for a fork works without another look
  two_step,                   ///< a thread steps for the scavenger though another does
  steps_without_acquire,      ///< a thread that steps need not see the work of the last one that did
  step_left_relaxed,          ///< the other half of that
  rest_without_acquire,       ///< a thread that ends the wait need not see that memory was noticed meanwhile

  // gc: mutators and the collector
  gc_closes_without_barrier,  ///< the collector looks whether threads are inside without the heavy barrier
  gc_awaits_nobody,           ///< it does not look
  gc_awaits_relaxed,          ///< it need not see what a thread has done inside
  gc_leaves_relaxed,          ///< the other half of that
  gc_opens_relaxed,           ///< a thread need not see what the collector has done to its data
  gc_enters_late,             ///< a thread reads what it has to heed before it says that it is inside
  gc_open_wakes_nobody,       ///< a thread that sleeps until it is let in is not woken
  gc_open_looks_early,        ///< whoever lets threads in looks for sleepers before it does so

  // gc: the cycle
  gc_tests_before_only,        ///< a thread that stores does not test once more after the store
  gc_old_not_shaded,           ///< a store tells of the new value only
  gc_new_not_shaded,           ///< of the old value only
  gc_helper_looks_early,       ///< a helper does not look once more whether the share is open
  gc_helper_leaves_relaxed,    ///< the collector does not see what a helper that has left has marked
  gc_close_awaits_nobody,      ///< the collector closes the share, and does not wait for those that are at it
  gc_told_stay,                ///< a thread does not tell of what it has told of in the cycle before
  gc_inserts_late,             ///< a thread tells of first values when it is let in, not when it is kept out
  gc_inserts_until_roots,      ///< new values are told of until roots are visited, and not meanwhile
  gc_weak_not_shaded,          ///< an address out of a weak cell is not told of
  gc_word_not_marked,          ///< blocks that an armed thread takes are not marked
  gc_large_not_marked,         ///< nor is a large one
  gc_not_blackened,            ///< nor those that it had at hand when it was armed
  gc_marks_swept_spans,        ///< an armed thread marks blocks of spans that were swept for the next cycle
  gc_caches_not_flushed,       ///< threads keep spans when they become unswept
  gc_given_as_swept,           ///< a span that a thread gives back unswept goes to the swept ones
  gc_marks_unswept,            ///< the collector begins to mark though spans are unswept
  gc_frees_while_marking,      ///< so it does, and a thread that sweeps such a span takes an empty one back
  gc_one_round_only,           ///< the threads' buffers are emptied once
  gc_last_round_believed,      ///< the marks are final although the last round has found something
  gc_weak_looks_not,           ///< a thread reads a weak cell while it is decided what dies
  gc_reaches_without_buffers,  ///< a look for leaks does not ask what threads have told of
  gc_decided_early,            ///< the last round is not protected from weak cells
  gc_card_not_written,         ///< a store does not write the card of its slot
  gc_cards_taken_late,         ///< a young cycle takes the written cards when threads are armed already
  gc_whole_leaves_marks,       ///< a whole cycle takes what was old for marked

  // gc: counted objects
  count_moves_uncounted,    ///< a pointer moves while a search keeps the thread out
  count_moves_unnoted,      ///< a pointer that moves into an object makes no candidate
  count_shut_keeps_base,    ///< a thread that is kept out goes on with what is fast
  count_merges_late,        ///< an object's local word loses its owner after the shared one says so
  count_merge_forgets,      ///< the owner's count is not added when the object is merged
  count_queues_unsaid,      ///< the owner is not told that a reference waits
  count_mail_cleared_late,  ///< what was left while the owner saw to its mail is not told of
  count_vacant_unseen,      ///< a reference that waits for a thread which has ended is left to it
  count_given_back_blind,   ///< a thread that ends does not look once more at what waits
  count_drops_relaxed,      ///< what was written to an object need not come before its end
  count_last_relaxed,       ///< the owner's last drop does not see what others have written
  count_locks_dead,         ///< a weak reference gets an object that has no references
  count_weak_unflagged,     ///< an object does not know that it has weak references
  count_condemned_locked,   ///< a weak reference gets an object that a search has found dead

  // gc: those who wait for cycles, what is to run because objects have died
  gc_request_wakes_nobody,  ///< the collector's thread is not told of a request
  gc_request_cleared_late,  ///< a request that comes during a cycle is forgotten
  gc_woken_looks_not,       ///< a thread that was woken does not look whether it was its cycle
  gc_stops_without_look,    ///< whoever ran what was due does not look once more
  gc_two_at_work,           ///< it goes on though another has begun

  // runtime/net: asio
  inbox_put_relaxed,           ///< the owner of an inbox need not see what the sender of a command did before
  inbox_taken_in_two_steps,    ///< the owner reads the list and then empties it
  inbox_called_by_first_look,  ///< a sender calls the owner if the inbox was empty when it first looked
  cancel_holds_nothing,        ///< an errand may go while the command that is to cancel it is under way
};

/// The bug planted in the running exploration.
extern plant planted;

}  // namespace model

#define HEDDLE_PLANTED(bug) (::model::planted == ::model::plant::bug)
