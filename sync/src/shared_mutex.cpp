// SPDX-License-Identifier: BSL-1.0
#include "heddle/shared_mutex.hpp"

#include "heddle/detail/trusted.hpp"
#include "heddle/detail/wait_description.hpp"
#include "heddle/this_fiber.hpp"
#include "misuse.hpp"
#include "reader_slots.hpp"
#include "sleep.hpp"

namespace heddle {
namespace {

using detail::reader_slots;

// After a writer has ended the bias, readers have to meet at the word so often before they set it again. To end it
// costs a writer about as much as ten such meetings cost readers. Models live shorter.
#if defined(HEDDLE_MODEL) && HEDDLE_MODEL
constexpr std::uint32_t meetings = 1;
#else
constexpr std::uint32_t meetings = 64;
#endif

/// Wakes all of a list that is linked by `next`. Each is gone once it is awake.
void wake_all(detail::waiter* first) noexcept {
  while (first) {
    detail::waiter* const rest = first->next;
    first->wake();
    first = rest;
  }
}

}  // namespace

void shared_mutex::unlock_queue(void* self) noexcept {
  static_cast<shared_mutex*>(self)->queue_lock_.unlock_in_commit();
}

/// How reports describe a fiber that waits to lock.
struct detail::shared_mutex_waits {
  static void describe(void* argument, wait_text& to) HEDDLE_NO_THREAD_SAFETY_ANALYSIS {
    const auto& m = *static_cast<const shared_mutex*>(argument);
    const bool writes = to.find(m.writers_) != nullptr;
    to.say("to lock shared_mutex %p%s", argument, writes ? " for writing" : " for reading");
    const std::uint64_t state = m.state_.load(std::memory_order_relaxed);
    const auto readers = static_cast<unsigned>(state & shared_mutex::count_mask);
    if ((state & shared_mutex::writer) != 0)
      to.say(", until the unlock() of the writer that holds it");
    else if (readers != 0)
      to.say(", until the unlock_shared() of the %u that hold it for reading%s", readers,
             writes ? "" : ", and the turn of a writer that waits before it");
  }
  static const wait_description registered;
};
const detail::wait_description detail::shared_mutex_waits::registered(shared_mutex::unlock_queue, describe);

// --- writers ---------------------------------------------------------------------------------------------------

void shared_mutex::lock_slow() noexcept {
  detail::waiter self;
  wait_to_write(self);
}

bool shared_mutex::lock_bounded(detail::bounded_waiter& self) noexcept {
  if (wait_to_write(self)) return true;
  leave_writers(self);
  return false;
}

template <class Waiter>
inline bool shared_mutex::wait_to_write(Waiter& self) noexcept {
  // Those inside may be readers that have been let in, but have not run yet. To stop all others now would make each of
  // them wait in its turn, and so on for ever: a convoy. Each yields where it holds nothing, so after a round of the
  // run queue the lock is likely to be free.
  this_fiber::yield();
  if (try_lock()) return true;
  queue_lock_.lock();
  if (take_or_announce()) {
    queue_lock_.unlock();
    return true;
  }
  writers_.push_back(self);
  const bool given = detail::sleep(self, unlock_queue, this);
  queue_lock_.unlocked_by_commit();
  return given;
}

/// True: nobody held the lock, and it is the caller's. False: those who hold it will look into the queues.
bool shared_mutex::take_or_announce() noexcept {
  std::uint64_t state = state_.load(std::memory_order_relaxed);
  std::uint64_t moved = 0;
  for (;;) {
    if (state & biased) {
      end_bias(state, moved);
      continue;
    }
    // With nobody inside nobody is queued either (invariant 3).
    const bool free = (state & (count_mask | writer)) == 0 && moved == 0;
    // acquire: so that what the last holders wrote is seen if it is free; release halves in unlock(), unlock_shared().
    // An announcement publishes nothing, not even what those did who had left by slots: holders read the word by a
    // read-modify-write, and from then on the lock changes hands under queue_lock_.
    if (state_.compare_exchange_weak(state, free ? writer : (state + moved) | queued, std::memory_order_acquire,
                                     std::memory_order_relaxed))
      return free;
  }
}

/// Ends the bias that `state`, which was read, shows: readers count again. The shares that were in slots are then in
/// the caller's hands, who has to add them to the count; `queued` is set, although nobody is, so that nothing else
/// happens without queue_lock_ until then. False: the word has changed; it has been read again, as otherwise.
bool shared_mutex::end_bias(std::uint64_t& state, std::uint64_t& moved) noexcept {
  // seq_cst, as the looks at the slots: a reader whose slot is seen empty comes to its own look at the word after this.
  // See come_in_by_slot().
  if (!state_.compare_exchange_weak(
          state, (state & ~biased) | (HEDDLE_PLANTED(bias_ends_unannounced) ? 0 : queued),
          HEDDLE_PLANTED(bias_cleared_relaxed) ? std::memory_order_relaxed : std::memory_order_seq_cst,
          std::memory_order_relaxed))
    return false;
  if (!HEDDLE_PLANTED(slots_not_moved)) moved = reader_slots::take_all(this);
  if (HEDDLE_PLANTED(moved_not_counted)) moved = 0;
  reluctance_.store(meetings, std::memory_order_relaxed);
  state = state_.load(std::memory_order_relaxed);
  return true;
}

/// For one that has found the bias. It ends it only if there seems to be no reader.
bool shared_mutex::try_lock_biased() noexcept {
  const detail::thread_lock hold(queue_lock_);
  if (reader_slots::any(this)) return false;
  std::uint64_t state = state_.load(std::memory_order_relaxed);
  std::uint64_t moved = 0;
  bool ended = false;
  for (;;) {
    if ((state & biased) && (state & count_mask) == 0) {
      ended |= end_bias(state, moved);
      continue;
    }
    const std::uint64_t others = (ended ? state & ~queued : state) + moved;
    if (others != 0 && !ended) return false;
    // acquire: as in take_or_announce(). release: if it fails, so that who locks next sees what those did who had left
    // by slots, of which only this one knows.
    if (state_.compare_exchange_weak(
            state, others == 0 ? writer : others,
            HEDDLE_PLANTED(mover_forgets_others) ? std::memory_order_acquire : std::memory_order_acq_rel,
            std::memory_order_relaxed))
      return others == 0;
  }
}

void shared_mutex::unlock_slow() noexcept { release("shared_mutex"); }
void shared_timed_mutex::unlock_timed_slow() noexcept { release("shared_timed_mutex"); }

inline void shared_mutex::release(const char* kind) noexcept {
  std::uint64_t state = state_.load(std::memory_order_relaxed);
  for (;;) {
    if (!(state & writer))
      detail::misuse(kind, this, "unlock() of what is not locked by a writer; unlock only what you have locked");
    if (state & queued) {
      if (serve_after_writer()) return;
      state = state_.load(std::memory_order_relaxed);
      continue;
    }
    // Those who have just looked in stay counted: without a flag they are readers.
    // release: so that the next holders see what this one wrote; acquire halves in try_lock(), come_in() and
    // go_out_again(). It is the last touch of the mutex.
    if (state_.compare_exchange_weak(state, state & ~writer, std::memory_order_release, std::memory_order_relaxed))
      return;
  }
}

/// All readers that wait, or the first writer, in the place of the writer that leaves. The mutex stays alive until
/// queue_lock_ is unlocked, since they still wait. False: the waits of all have ended otherwise; the writer still holds
/// it.
bool shared_mutex::serve_after_writer() noexcept {
  queue_lock_.lock();
  if (!(state_.load(std::memory_order_relaxed) & queued)) {
    queue_lock_.unlock();
    return false;
  }
  std::uint64_t count = 0;
  detail::waiter* successors = all_readers(count);
  std::uint64_t change = count - writer;
  if (!successors) {
    successors = next_writer();
    change = 0;
  }
  // Under queue_lock_ and with `queued` set only the count may change beside this, so an addition sets all bits right.
  // release: so that the next holders see what this one wrote; the acquire half is in their waking up, or in come_in().
  state_.fetch_add(change - queued_no_more(), std::memory_order_release);
  queue_lock_.unlock();
  wake_all(successors);
  return successors != nullptr;
}

/// What is to be taken off the state for queues that have become empty.
inline std::uint64_t shared_mutex::queued_no_more() const noexcept {
  return writers_.empty() && readers_.empty() ? queued : 0;
}

inline detail::waiter* shared_mutex::next_writer() noexcept {
  detail::waiter* const first = writers_.pop_claimed();
  if (first) first->next = nullptr;
  return first;
}

inline detail::waiter* shared_mutex::all_readers(std::uint64_t& count) noexcept {
  detail::waiter* const first = readers_.take_claimed([&count](detail::waiter& reader) {
    if (HEDDLE_PLANTED(one_reader_admitted) && count != 0) return false;
    const bool waits = reader.claim();
    count += waits;
    return waits;
  });
  return first;
}

/// What a writer does whose wait has ended by its bounds: lets in those that waited only because of it.
void shared_mutex::leave_writers(detail::waiter& self) noexcept {
  queue_lock_.lock();
  if (!detail::fifo<detail::waiter>::linked(self)) return queue_lock_.unlock();  // passed over, all has been done
  writers_.erase(self);
  std::uint64_t count = 0;
  detail::waiter* successors = nullptr;
  // `writer` stays as it is: `queued` is set.
  if (writers_.empty() && !(state_.load(std::memory_order_relaxed) & writer) && !HEDDLE_PLANTED(leaver_forgets_readers))
    successors = all_readers(count);
  // acquire, release: so that those let in see what the last writer wrote; release half of that in unlock_slow(),
  // acquire half of this in their waking up.
  state_.fetch_add(count - queued_no_more(), std::memory_order_acq_rel);
  queue_lock_.unlock();
  wake_all(successors);
}

// --- readers ---------------------------------------------------------------------------------------------------

void shared_mutex::lock_shared_slow() noexcept {
  detail::waiter self;
  wait_to_read(self);
}

bool shared_mutex::lock_shared_bounded(detail::bounded_waiter& self) noexcept {
  if (wait_to_read(self)) return true;
  leave_readers(self);
  return false;
}

template <class Waiter>
inline bool shared_mutex::wait_to_read(Waiter& self) noexcept {
  queue_lock_.lock();
  detail::waiter* successors = nullptr;
  if (!go_out_again(successors)) {
    queue_lock_.unlock();
    wake_all(successors);
    return true;
  }
  readers_.push_back(self);
  wake_all(successors);
  const bool given = detail::sleep(self, unlock_queue, this);
  queue_lock_.unlocked_by_commit();
  return given;
}

/// As come_in(), through a slot if there is one.
bool shared_mutex::come_in_by_slot() noexcept {
  reader_slots::slot& mine = reader_slots::here(this);
  if (reader_slots::put(mine, this)) {
    // seq_cst, as the slot's change before: either this shows that the bias has ended, or who ends it sees the slot.
    // acquire: so that what the last writer wrote is seen; release half in unlock(), unlock_slow().
    if ((state_.load(std::memory_order_seq_cst) & biased) || HEDDLE_PLANTED(bias_not_looked_at_again)) return true;
    // Else a writer has moved its share into the count, or one who left has taken this one instead of its own.
    if (!reader_slots::take(mine, this)) return false;
  }
  return count_in();
}

/// For one that has found no flag but the bias, or `queued` alone, which who ends a bias sets for a moment.
bool shared_mutex::try_lock_shared_slow() noexcept {
  {
    const detail::thread_lock hold(queue_lock_);
    if (state_.load(std::memory_order_relaxed) & flags) return false;
  }
  if (come_in()) return true;
  detail::waiter* successors = nullptr;
  queue_lock_.lock();
  const bool in = !go_out_again(successors);
  // As if it had queued and left again. Relaxed: as in leave_readers().
  if (!in) state_.fetch_add(0 - queued_no_more(), std::memory_order_relaxed);
  queue_lock_.unlock();
  wake_all(successors);
  return in;
}

/// For one that has found a flag after it had counted itself as a reader. True: it is counted no more, and has to
/// queue, as is announced. False: nothing is in its way any more, and it is a reader. Others may have to be woken: if
/// it was the last one inside, it has to serve those who wait.
bool shared_mutex::go_out_again(detail::waiter*& successors) noexcept {
  // acquire, here and below: so that what the last writer wrote is seen if that has left; release half in unlock().
  std::uint64_t state = state_.load(std::memory_order_acquire);
  for (;;) {
    if (!(state & flags)) return false;
    const bool last = (state & count_mask) == 1 && !(state & writer);
    if (last && !HEDDLE_PLANTED(looker_does_not_serve)) break;
    // No release, though it may leave in the place of one who has read (reader_slots::take()): from now on the lock
    // changes hands under queue_lock_ only.
    if (state_.compare_exchange_weak(state, (HEDDLE_PLANTED(looker_stays_counted) ? state : state - 1) | queued,
                                     std::memory_order_acquire, std::memory_order_acquire))
      return true;
  }
  // acquire, release: so that those let in see what all before them did; release halves of that in unlock_shared() and
  // unlock_slow(), acquire half of this in their waking up.
  successors = next_writer();
  if (successors) {
    state_.fetch_add(writer - 1, std::memory_order_acq_rel);  // `queued` stays, the caller will be
    return true;
  }
  std::uint64_t count = 0;
  successors = all_readers(count);
  state_.fetch_add(count - queued, std::memory_order_acq_rel);
  return false;
}

void shared_mutex::unlock_shared_slow() noexcept { release_shared("shared_mutex"); }
void shared_timed_mutex::unlock_shared_timed_slow() noexcept { release_shared("shared_timed_mutex"); }

inline void shared_mutex::release_shared(const char* kind) noexcept {
  std::uint64_t state = state_.load(std::memory_order_relaxed);
  for (;;) {
    // Who leaves by a slot does not touch the mutex again.
    if ((state & biased) && reader_slots::take(reader_slots::here(this), this)) return;
    if ((state & writer) || (state & count_mask) == 0) {
      if ((state & biased) && reader_slots::take_one(this)) return;
      look_closer(kind);
      state = state_.load(std::memory_order_relaxed);
      continue;
    }
    if (state == (queued | 1) && !HEDDLE_PLANTED(last_reader_serves_not)) {
      if (serve_after_readers()) return;
      state = state_.load(std::memory_order_relaxed);
      continue;
    }
    const bool bias = (!(state & flags) || HEDDLE_PLANTED(bias_despite_flags)) && wants_bias();
    // release: so that the next writer sees that this one has read; acquire half in try_lock() and
    // serve_after_readers(). It is the last touch of the mutex.
    if (state_.compare_exchange_weak(state, (state - 1) | (bias ? biased : 0), std::memory_order_release,
                                     std::memory_order_relaxed))
      return;
  }
}

/// For a reader that leaves and has met others at the word.
bool shared_mutex::wants_bias() noexcept {
  // Two of them may count as one.
  const std::uint32_t left = reluctance_.load(std::memory_order_relaxed);
  if (left != 0) reluctance_.store(left - 1, std::memory_order_relaxed);
  return left == 0;
}

/// For a reader that leaves and has found no share, because somebody is just moving them, or because it holds none.
/// Afterwards there is one in the count.
void shared_mutex::look_closer(const char* kind) noexcept {
  const detail::thread_lock hold(queue_lock_);
  // A read-modify-write, since it reads the newest value.
  std::uint64_t state = state_.fetch_add(0, std::memory_order_relaxed);
  std::uint64_t moved = 0;
  while (state & biased)
    if (end_bias(state, moved)) {
      // acquire, release: as in try_lock_biased().
      state = state_.fetch_add(moved - queued, std::memory_order_acq_rel) + moved - queued;
      break;
    }
  if ((state & writer) || (state & count_mask) == 0)
    detail::misuse(kind, this, "unlock_shared() of what no reader has locked; unlock only what you have locked");
}

/// The first writer in the place of the last reader; if there is none any more, the readers that waited because of it.
/// The mutex stays alive until queue_lock_ is unlocked, since they still wait. False: nothing has changed that concerns
/// the caller, who is still a reader, and perhaps not the last one any more.
bool shared_mutex::serve_after_readers() noexcept {
  queue_lock_.lock();
  // Meanwhile the queue may have emptied, readers have come, and a writer have queued behind them.
  if (state_.load(std::memory_order_relaxed) != (queued | 1) && !HEDDLE_PLANTED(last_reader_looks_once)) {
    queue_lock_.unlock();
    return false;
  }
  detail::waiter* successors = next_writer();
  std::uint64_t change = writer - 1;
  if (!successors) {
    std::uint64_t count = 0;
    successors = all_readers(count);
    change = successors ? count - 1 : 0;
  }
  // acquire, release: as in go_out_again().
  state_.fetch_add(change - queued_no_more(), std::memory_order_acq_rel);
  queue_lock_.unlock();
  wake_all(successors);
  return successors != nullptr;
}

/// What a reader does whose wait has ended by its bounds.
void shared_mutex::leave_readers(detail::waiter& self) noexcept {
  const detail::thread_lock hold(queue_lock_);
  if (!detail::fifo<detail::waiter>::linked(self)) return;  // it has been passed over
  readers_.erase(self);
  // Relaxed: it publishes nothing, and a reader that looks into the queues does so under queue_lock_.
  state_.fetch_add(0 - queued_no_more(), std::memory_order_relaxed);
}

void shared_mutex::check_unused(const char* kind) const noexcept {
  const std::uint64_t state = state_.load(std::memory_order_relaxed);
  if (state == biased && !reader_slots::any(this)) return;
  detail::destroyed_in_use(kind, this,
                           state & queued   ? "destroyed while others wait for it; join them first"
                           : state & writer ? "destroyed while locked; unlock it first"
                                            : "destroyed while readers hold it; let them unlock_shared() first");
}

}  // namespace heddle
