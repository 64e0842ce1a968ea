// SPDX-License-Identifier: BSL-1.0
#include "slot.hpp"

#include <algorithm>
#include <cerrno>

#include "../pinned.hpp"
#include "../scheduler.hpp"
#include "heddle/detail/room.hpp"
#include "heddle/detail/trusted.hpp"
#include "poller.hpp"

namespace heddle::detail {
namespace {

poll_waiter& as_waiter(waiter& w) noexcept { return static_cast<poll_waiter&>(w); }

/// Wakes a chain, linked by `slot`.
template <class F>
void wake_all(waiter* chain, F wake) noexcept {
  while (chain != nullptr) {
    waiter* const w = chain;
    chain = static_cast<waiter*>(w->slot);  // before the wake: then it may be gone
    wake(*w);
  }
}
void wake_all(waiter* chain) noexcept {
  wake_all(chain, [](waiter& w) { w.wake(); });
}

/// Puts w, which has been taken out of its queue, behind the last of a chain.
void chain_up(waiter& w, waiter*& first, waiter*& last) noexcept {
  w.slot = nullptr;
  if (last != nullptr)
    last->slot = &w;
  else
    first = &w;
  last = &w;
}

/// The one behind that of a `life_`.
std::uint64_t next_generation(std::uint64_t life) noexcept {
  const std::uint64_t next = (life >> 32) + 1;
  return next >> 32 == 0 ? next : 1;
}

}  // namespace

poll_slot::poll_slot(std::uint32_t i) noexcept : index(i) {
#if !(defined(HEDDLE_MODEL) && HEDDLE_MODEL) && !(defined(HEDDLE_LOCK_RANKS) && HEDDLE_LOCK_RANKS)
  static_assert(sizeof(poll_slot) == 256);  // a connection at rest has one: let it grow for good reasons only
#endif
  for (side_state& s : sides_) {
    s.alarm.slot = this;
    s.alarm.fire = ring;
  }
}

std::uint64_t poll_slot::tag() const noexcept {
  return std::uint64_t{index} << 32 | life_.load(std::memory_order_relaxed) >> 32;
}

// --- life -----------------------------------------------------------------------------------------------------------

std::uint32_t poll_slot::open(int fd) noexcept {
  fd_.store(fd, std::memory_order_relaxed);
  keep_ = false;
  for (side_state& s : sides_) {
    s.word.store(ready, std::memory_order_relaxed);
    s.deadline = no_deadline;
  }
  const std::uint64_t generation = life_.load(std::memory_order_relaxed) >> 32;
  // release: so that who begins an operation sees the descriptor; acquire half in begin().
  life_.store(generation << 32, std::memory_order_release);
  return static_cast<std::uint32_t>(generation);
}

bool poll_slot::is_open(std::uint32_t generation) const noexcept {
  const std::uint64_t l = life_.load(std::memory_order_relaxed);
  return l >> 32 == generation && (l & closed_bit) == 0;
}

bool poll_slot::begin(std::uint32_t generation) noexcept {
  std::uint64_t l = life_.load(std::memory_order_relaxed);
  do {
    if (l >> 32 != generation || ((l & closed_bit) != 0 && !HEDDLE_PLANTED(poll_begins_on_closed))) return false;
    // acquire: so that the descriptor is seen; release half in open().
  } while (!life_.compare_exchange_weak(l, l + 1, std::memory_order_acquire, std::memory_order_relaxed));
  return true;
}

/// Ends an operation. True: it was the last of a closed slot, so the caller finishes it.
bool poll_slot::drop() noexcept {
  // acq_rel: all that was done with the descriptor comes before its end.
  const std::uint64_t before = life_.fetch_sub(1, std::memory_order_acq_rel);
  return (before & (closed_bit | (closed_bit - 1))) == (closed_bit | 1);
}

/// The last operation is over.
void poll_slot::finish() noexcept {
  poller& p = poller::instance();
  const int number = fd();
  // Out of the poller first: a duplicate of the descriptor would keep the kernel reporting it.
  if (watched_in_.load(std::memory_order_relaxed) == p.era() && !HEDDLE_PLANTED(poll_closes_watched)) p.unwatch(number);
  watched_in_.store(0, std::memory_order_relaxed);
  // Before the call: a child that is forked after it must not close a number that is another file's by then.
  fd_.store(-1, std::memory_order_relaxed);
  if (!keep_) platform::close_descriptor(number);
  waiter* closers = nullptr;
  {
    const thread_lock hold(lock_);
    std::uint64_t generation = next_generation(life_.load(std::memory_order_relaxed));
    if (HEDDLE_PLANTED(poll_keeps_generation)) --generation;
    // relaxed: who sees the new generation under the lock sees all; others only see that it is not theirs.
    life_.store(generation << 32 | closed_bit, std::memory_order_relaxed);
    closers = std::exchange(closers_, nullptr);
  }
  p.put_slot(*this);
  wake_all(closers);
}

int poll_slot::close(std::uint32_t generation, bool keep) noexcept {
  std::uint64_t l = life_.load(std::memory_order_relaxed);
  do {
    if (l >> 32 != generation) return -1;
    if ((l & closed_bit) != 0) {  // somebody closes it
      if (!HEDDLE_PLANTED(poll_second_close_hurries)) await_end(generation);
      return -1;
    }
    // acquire: so that the descriptor is seen; release half in open().
  } while (!life_.compare_exchange_weak(l, (l | closed_bit) + 1, std::memory_order_acquire, std::memory_order_relaxed));
  keep_ = keep;
  const int number = fd();
  std::array<waiter*, 2> woken{};
  {
    const thread_lock hold(lock_);
    for (std::size_t i = 0; i != sides_.size() && !HEDDLE_PLANTED(poll_close_wakes_nobody); ++i) {
      woken[i] = take(sides_[i], true, true);
      note_waiters(sides_[i]);
      kick_threads(sides_[i]);
    }
  }
  for (waiter* chain : woken) wake_all(chain);
  if (drop()) {
    finish();
    return number;
  }
  await_end(generation);
  return number;
}

/// Waits until the last operation of that generation is over.
void poll_slot::await_end(std::uint32_t generation) noexcept {
  struct closing_wait : descriptor_wait {
    waiter self;
    poll_slot& slot;
    std::uint32_t generation;
  } closing{{fd(), descriptor_wait::aim::close}, {}, *this, generation};
  closing.self.park(
      [](void* raw) {
        auto& c = static_cast<closing_wait&>(from_argument<wait_argument::descriptor, descriptor_wait>(raw));
        {
          const thread_lock hold(c.slot.lock_);
          if (c.slot.life_.load(std::memory_order_relaxed) >> 32 == c.generation) {
            c.self.slot = HEDDLE_PLANTED(poll_one_closer_is_known) ? nullptr : c.slot.closers_;
            c.slot.closers_ = &c.self;
            return;
          }
        }
        c.self.wake();
      },
      as_argument<wait_argument::descriptor>(static_cast<descriptor_wait&>(closing)));
}

// --- readiness ------------------------------------------------------------------------------------------------------

void poll_slot::clear(poll_side side, std::uint32_t seen, std::uint32_t bits) noexcept {
  atomic<std::uint32_t>& word = of(side).word;
  std::uint32_t now = seen;
  // relaxed, all: the word speaks of the kernel's state; a waiter looks at it under the lock.
  while (!word.compare_exchange_weak(now, now & ~bits, std::memory_order_relaxed, std::memory_order_relaxed))
    // Only a waiter that has queued since is no reason to leave it as it is.
    if (((now ^ seen) & ~waiting) != 0 && !HEDDLE_PLANTED(poll_clears_new_event)) return;
}

/// Says in the word that there was an event, and whether somebody is queued still.
void poll_slot::note_event(side_state& s, std::uint32_t bits) noexcept {
  const std::uint32_t kept = s.fibers.empty() ? ~waiting : ~std::uint32_t{0};
  std::uint32_t w = s.word.load(std::memory_order_relaxed);
  // relaxed: as in clear().
  while (!s.word.compare_exchange_weak(w, ((w + step) | bits) & kept, std::memory_order_relaxed,
                                       std::memory_order_relaxed)) {
  }
}

/// The bit says whether somebody is queued.
void poll_slot::note_waiters(side_state& s) noexcept {
  if (s.fibers.empty())
    s.word.fetch_and(~waiting, std::memory_order_relaxed);  // relaxed: as in clear()
  else if ((s.word.load(std::memory_order_relaxed) & waiting) == 0)
    s.word.fetch_or(waiting, std::memory_order_relaxed);
}

/// Takes the first of those that wait out of the queue, or all; returns those whose waits ended so, linked by `slot`.
/// The caller sees to the word.
waiter* poll_slot::take(side_state& s, bool all, bool closed) noexcept {
  waiter *first = nullptr, *last_one = nullptr;
  while (all || first == nullptr) {
    waiter* const w = s.fibers.pop_claimed([](waiter& one) { return as_waiter(one).is_signalled(); });
    if (w == nullptr) break;
    if (closed) as_waiter(*w).outcome = poll_outcome::closed;
    chain_up(*w, first, last_one);
  }
  return first;
}

void poll_slot::kick_threads(side_state& s) noexcept {
  for (poll_thread* t = s.threads.front(); t != nullptr; t = t->next) t->bell.ring();
}

void poll_slot::notify(std::uint32_t generation, std::uint32_t events, scheduler& s, machine* m) noexcept {
  waiter *readers = nullptr, *writers = nullptr;
  {
    const thread_lock hold(lock_);
    if (life_.load(std::memory_order_relaxed) >> 32 != generation && !HEDDLE_PLANTED(poll_believes_old_event)) return;
    if ((events & platform::readable_events) != 0) {
      side_state& side = of(poll_side::read);
      const bool ends = (events & platform::last_read_events) != 0;
      readers = take(side, ends, false);
      note_event(side, ends && !HEDDLE_PLANTED(poll_forgets_the_end) ? ready | last : ready);
    }
    if ((events & platform::writable_events) != 0) {
      side_state& side = of(poll_side::write);
      const bool ends = (events & platform::last_write_events) != 0;
      writers = take(side, ends, false);
      note_event(side, ends ? ready | last : ready);
    }
  }
  for (waiter* chain : {readers, writers})
    wake_all(chain, [&s, m](waiter& w) { m != nullptr ? w.wake_last_inside(*m) : w.wake_globally(s); });
}

/// There may be more, and somebody waits.
void poll_slot::pass_on(poll_side side) noexcept {
  side_state& s = of(side);
  waiter* next = nullptr;
  {
    const thread_lock hold(lock_);
    if ((s.word.load(std::memory_order_relaxed) & (ready | last)) != 0 && !HEDDLE_PLANTED(poll_keeps_the_rest))
      next = take(s, false, false);
    note_waiters(s);
  }
  wake_all(next);
}

// --- waiting --------------------------------------------------------------------------------------------------------

int poll_slot::watch() noexcept {
  poller& p = poller::instance();
  // relaxed, both: written under the lock, and before by nobody who matters: an operation is under way.
  if (watched_in_.load(std::memory_order_relaxed) == p.era()) return 0;
  const thread_lock hold(lock_);
  if (watched_in_.load(std::memory_order_relaxed) == p.era()) return 0;
  int error = 0;
  on_home_stack([&] { error = p.watch(fd(), tag()); });
  if (error == 0) watched_in_.store(p.era(), std::memory_order_relaxed);
  return error;
}

/// False: the wait is over before it has begun.
bool poll_slot::must_wait(side_state& s, poll_outcome& outcome) noexcept {
  outcome = poll_outcome::ready;
  if ((life_.load(std::memory_order_relaxed) & closed_bit) != 0 && !HEDDLE_PLANTED(poll_waits_on_closed)) {
    outcome = poll_outcome::closed;
    return false;
  }
  return (s.word.load(std::memory_order_relaxed) & (ready | last)) == 0 || HEDDLE_PLANTED(poll_waits_without_look);
}

poll_outcome poll_slot::wait(poll_side side, const wait_bounds& bounds) noexcept {
  if (suspendable() == nullptr) return with_room(foreign_room, [&] { return wait_on_thread(side, bounds); });
  if (const int error = watch(); error != 0) {
    errno = error;
    return poll_outcome::failed;
  }
  poll_waiter self(*this, fd(), side, bounds);
  const wait_state how = self.sleep();
  if (how == wait_state::signalled || how == wait_state::open) return self.outcome;
  leave(of(side), self);
  return how == wait_state::stopped ? poll_outcome::stopped : poll_outcome::timed_out;
}

/// Returns `open` if there was nothing to wait for.
wait_state poll_waiter::sleep() noexcept {
  return park_by(
      [](void* raw) {
        auto& w = static_cast<poll_waiter&>(from_argument<wait_argument::descriptor, descriptor_wait>(raw));
        machine& m = *this_machine();
        poll_slot& s = w.slot_of;
        bool asleep = false;
        {
          const thread_lock hold(s.lock_);
          asleep = s.queue(s.of(w.side), w, m);
        }
        if (!asleep) w.wake_self(m);  // else it may be gone
      },
      as_argument<wait_argument::descriptor>(static_cast<descriptor_wait&>(*this)));
}

/// False: the wait is over at once.
bool poll_slot::queue(side_state& s, poll_waiter& w, machine& m) noexcept {
  if (!must_wait(s, w.outcome)) return false;
  const nanoseconds_t until = std::min(w.deadline, s.deadline);
  if (until != no_deadline && platform::now() >= until) {
    w.outcome = poll_outcome::timed_out;
    return false;
  }
  // A stop that was requested before: nobody else wakes it.
  if (!w.goes_to_sleep()) return false;
  s.fibers.push_back(w);
  w.queued = true;
  note_waiters(s);
  if (until != no_deadline) arm(m, s, until);
  return true;
}

void poll_slot::leave(side_state& s, poll_waiter& w) noexcept {
  const thread_lock hold(lock_);
  if (!w.queued || !fifo<waiter>::linked(w) || HEDDLE_PLANTED(poll_leaver_stays_queued)) return;
  s.fibers.erase(w);
  note_waiters(s);
}

// --- deadlines ------------------------------------------------------------------------------------------------------

/// Sees to it that the alarm rings no later than at the deadline. `m`: the caller's.
void poll_slot::arm(machine& m, side_state& s, nanoseconds_t deadline) noexcept {
  alarm_clock& a = s.alarm;
  if (s.armed) {
    if (a.deadline <= deadline || HEDDLE_PLANTED(poll_alarm_stays_late)) return;
    if (!a.heap->remove(a)) return;  // it is about to ring, and will look at all that wait
  }
  a.deadline = deadline;
  s.armed = true;
  const critical_section inside(m);
  m.sched.add_timer(m, a);
}

/// Takes those out whose time has passed; `next`: the earliest deadline of the others.
waiter* poll_slot::take_overdue(side_state& s, nanoseconds_t now, nanoseconds_t& next) noexcept {
  waiter *first = nullptr, *last_one = nullptr;
  for (waiter *w = s.fibers.front(), *after = nullptr; w != nullptr; w = after) {
    after = w->next;
    const nanoseconds_t until = std::min(as_waiter(*w).deadline, s.deadline);
    if (until > now) {
      next = std::min(next, until);
      continue;
    }
    s.fibers.erase(*w);
    if (as_waiter(*w).time_out()) chain_up(*w, first, last_one);
  }
  note_waiters(s);
  return first;
}

void poll_slot::ring(timer& t, machine& m) noexcept {
  auto& a = static_cast<alarm_clock&>(t);
  poll_slot& slot = *a.slot;
  side_state& s = slot.of(&a == &slot.of(poll_side::read).alarm ? poll_side::read : poll_side::write);
  waiter* overdue = nullptr;
  {
    const thread_lock hold(slot.lock_);
    s.armed = false;
    nanoseconds_t next = no_deadline;
    overdue = slot.take_overdue(s, platform::now(), next);
    if (next != no_deadline && !HEDDLE_PLANTED(poll_alarm_rings_once)) slot.arm(m, s, next);
  }
  wake_all(overdue, [&m](waiter& w) { w.wake_last_inside(m); });
}

void poll_slot::set_deadline(poll_side side, nanoseconds_t deadline) noexcept {
  side_state& s = of(side);
  waiter* overdue = nullptr;
  {
    const thread_lock hold(lock_);
    s.deadline = deadline;
    kick_threads(s);
    if (s.fibers.empty() || deadline == no_deadline) return;
    nanoseconds_t next = no_deadline;
    overdue = take_overdue(s, platform::now(), next);
    if (next != no_deadline) {
      if (machine* const m = suspendable(); m != nullptr)
        arm(*m, s, next);
      else
        arm_elsewhere(s, next);
    }
  }
  wake_all(overdue);
}

/// The same as arm() from a plain thread.
void poll_slot::arm_elsewhere(side_state& s, nanoseconds_t deadline) noexcept {
  alarm_clock& a = s.alarm;
  if (s.armed) {
    if (a.deadline <= deadline) return;
    if (!a.heap->remove(a)) return;
  }
  const visit runtime;
  if (!runtime) return;
  a.deadline = deadline;
  s.armed = true;
  runtime->add_timer_from_thread(a);
}

// --- the end of a runtime, and forks --------------------------------------------------------------------------------

void poll_slot::forget_alarms() noexcept {
  const thread_lock hold(lock_);
  for (side_state& s : sides_) s.armed = false;
}

/// Other threads may have been anywhere, and with any of the lists. A thread that waits here is in its list while its
/// bell is open, but for some instructions.
void poll_slot::forget_others() noexcept HEDDLE_NO_THREAD_SAFETY_ANALYSIS {
  lock_.become_free();
  closers_ = nullptr;
  for (side_state& s : sides_) {
    for (poll_thread* t = s.threads.front(); t != nullptr && fifo<poll_thread>::linked(*t); t = t->next)
      t->bell.close();
    s.fibers = {};
    s.threads = {};
    s.armed = false;
    s.word.fetch_and(~waiting, std::memory_order_relaxed);
  }
  const std::uint64_t operations = closed_bit - 1;
  life_.fetch_and(~operations, std::memory_order_relaxed);
}

bool poll_slot::end_as_left() noexcept {
  const std::uint64_t l = life_.load(std::memory_order_relaxed);
  if (next_free != this || (l & closed_bit) == 0) return false;
  if (fd() >= 0 && !keep_) platform::close_descriptor(fd());
  fd_.store(-1, std::memory_order_relaxed);
  watched_in_.store(0, std::memory_order_relaxed);
  life_.store(next_generation(l) << 32 | closed_bit, std::memory_order_relaxed);
  return true;
}

}  // namespace heddle::detail
