// SPDX-License-Identifier: BSL-1.0
#include "heddle/mutex.hpp"

#include <cstddef>
#include <type_traits>

#include "heddle/detail/trusted.hpp"
#include "heddle/detail/wait_description.hpp"
#include "heddle/recursive_mutex.hpp"
#include "misuse.hpp"
#include "sleep.hpp"

namespace heddle {
namespace {

using detail::platform::cpu_relax;
using detail::platform::now;

// Looks at a mutex that is held. Each takes the line from a holder that may be about to lock again, and one that finds
// it free takes it; so the first look decides how long a mutex that two processors want all the time stays with one.
// Late looks make that long. Together they take about two sleeps and wake-ups of another machine (12 us each), which is
// where spinning stops to pay. In pauses, of 20 to 25 ns here and there. Models have no use for more than one.
// Who has waited longer than `patience` is given the mutex: Go's threshold, a tenth of a slice. Models live shorter.
#if defined(HEDDLE_MODEL) && HEDDLE_MODEL
constexpr detail::nanoseconds_t patience = 1'000;
constexpr unsigned looks = 1, first_pauses = 1, longest_pauses = 1;
#else
constexpr detail::nanoseconds_t patience = 1'000'000;
constexpr unsigned looks = 9, first_pauses = 64, longest_pauses = 128;
#endif

/// What an unlocker tells the waiter it takes from the queue.
enum verdict : std::uint32_t {
  try_again = 0,    ///< The mutex was free a moment ago.
  handed_over = 1,  ///< The mutex is yours.
};

}  // namespace

inline bool mutex::attempt::may_spin(std::uint32_t state) const noexcept {
  return looked < looks && !(state & starving) && detail::running_processors() > 1;
}

/// One that waits as long as it takes.
struct mutex::unbounded_attempt : attempt {
  static constexpr bool over() noexcept { return false; }
  static constexpr bool spent() noexcept { return false; }
  static constexpr void has_slept() noexcept {}

  detail::waiter waiter;
};
/// The same at the mutex of a recursive one.
struct mutex::owners_attempt : unbounded_attempt {};

void mutex::lock_slow() noexcept {
  unbounded_attempt self;
  acquire(self);
}

void mutex::lock_slow_of_recursive() noexcept {
  owners_attempt self;
  acquire(self);
}

mutex::progress mutex::lock_bounded(bounded_attempt& self) noexcept { return acquire(self); }

template <class Attempt>
inline mutex::progress mutex::acquire(Attempt& self) noexcept {
  std::uint32_t state = state_.load(std::memory_order_relaxed);
  for (;;) {
    if (!(state & locked)) {
      if (take(state, self)) return progress::holds;
    } else if (self.over()) {
      if (give_up(state, self)) return progress::gave_up;
    } else if (self.may_spin(state)) {
      spin(state, self);
    } else if (self.spent()) {
      return progress::must_rearm;
    } else {
      if (wait_turn(self)) return progress::holds;
      state = state_.load(std::memory_order_relaxed);
    }
  }
}

bool mutex::take(std::uint32_t& state, const attempt& self) noexcept {
  // acquire: so that what the last holder wrote is seen; the release half is in unlock(), unlock_slow(), serve_first().
  return state_.compare_exchange_weak(state, (state | locked) & ~self.own_bits(), std::memory_order_acquire,
                                      std::memory_order_relaxed) ||
         HEDDLE_PLANTED(weak_failure_is_success);
}

void mutex::spin(std::uint32_t& state, attempt& self) noexcept {
  // The holder need not wake a queued one while this one is about to take the mutex.
  if (!self.awake && (state & queued) && !(state & woken))
    self.awake =
        state_.compare_exchange_strong(state, state | woken, std::memory_order_relaxed, std::memory_order_relaxed);
  const unsigned pauses = self.looked++ == 0 ? first_pauses : longest_pauses;
  for (unsigned i = 0; i != pauses; ++i) cpu_relax();
  state = state_.load(std::memory_order_relaxed);
}

/// The bounds have been reached while another holds the mutex. False: it may be free by now, look again.
bool mutex::give_up(std::uint32_t& state, const attempt& self) noexcept {
  // Only while it is locked: else nobody might look after those who are queued. Relaxed: it publishes nothing, and the
  // holder reads the word by a read-modify-write.
  return !self.awake || HEDDLE_PLANTED(leaver_keeps_woken) ||
         state_.compare_exchange_weak(state, state & ~std::uint32_t{woken}, std::memory_order_relaxed,
                                      std::memory_order_relaxed);
}

/// Queues and sleeps. True: the mutex was handed over. False: it is free or was free, or the wait is over; look again.
template <class Attempt>
inline bool mutex::wait_turn(Attempt& self) noexcept {
  const bool again = self.since != 0;
  const detail::nanoseconds_t time = now();
  if (!again) self.since = time;
  queue_lock_.lock();
  if (!announce(self, time - self.since > patience)) {
    queue_lock_.unlock();
    return false;
  }
  self.waiter.result = try_again;
  if (again)
    queue_.push_front(self.waiter);
  else
    queue_.push_back(self.waiter);
  const bool signalled = detail::sleep(
      self.waiter, std::is_same_v<Attempt, owners_attempt> ? unlock_queue_of_recursive : unlock_queue, this);
  queue_lock_.unlocked_by_commit();
  self.has_slept();
  self.looked = 0;
  if (!signalled) leave_queue(self.waiter);
  self.awake = signalled && self.waiter.result == try_again;
  if (!signalled) return false;
  if (self.awake) return false;
  // Those behind have not waited long: back to the faster mode. Only the holder clears the bit.
  if (now() - self.since <= patience) state_.fetch_and(~std::uint32_t{starving}, std::memory_order_relaxed);
  return true;
}

// Two, so that reports know from the address at which kind of mutex a fiber waits.
void mutex::unlock_queue(void* self) noexcept { static_cast<mutex*>(self)->queue_lock_.unlock_in_commit(); }
void mutex::unlock_queue_of_recursive(void* self) noexcept { unlock_queue(self); }

/// How reports describe a fiber that waits to lock.
struct detail::mutex_waits {
  static void describe(void* argument, wait_text& to) {
    to.say("to lock mutex %p, until an unlock()", argument);
    const auto& m = *static_cast<const mutex*>(argument);
    if ((m.state_.load(std::memory_order_relaxed) & mutex::locked) == 0) to.say(" (it is free)");
  }
  static const void* owner(void* argument) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winvalid-offsetof"  // under a model it is no standard layout
    static_assert(offsetof(recursive_mutex, mutex_) == 0);
#pragma GCC diagnostic pop
    return static_cast<const recursive_mutex*>(argument)->owner_.load(std::memory_order_relaxed);
  }
  static void describe_recursive(void* argument, wait_text& to) {
    to.say("to lock recursive_mutex %p", argument);
    if (const void* const by = owner(argument)) {
      to.say(", which ");
      to.say_caller(by);
      to.say(" owns, until its unlock()");
    }
  }
  static const wait_description registered, registered_recursive;
};
const detail::wait_description detail::mutex_waits::registered(mutex::unlock_queue, describe);
const detail::wait_description detail::mutex_waits::registered_recursive(mutex::unlock_queue_of_recursive,
                                                                         describe_recursive, owner);

/// Makes sure that the holder will look into the queue. False: there is no holder any more.
/// Relaxed, since the holder reads the word by a read-modify-write and the queue under queue_lock_.
bool mutex::announce(const attempt& self, bool late) noexcept {
  std::uint32_t state = state_.load(std::memory_order_relaxed);
  const std::uint32_t set = queued | (late ? starving : 0u);
  while (state & locked) {
    const std::uint32_t clear = HEDDLE_PLANTED(woken_bit_kept) ? 0u : self.own_bits();
    if (state_.compare_exchange_weak(state, (state | set) & ~clear, std::memory_order_relaxed,
                                     std::memory_order_relaxed))
      return true;
  }
  return false;
}

/// What a waiter does whose wait has ended by its bounds.
void mutex::leave_queue(detail::waiter& self) noexcept {
  const detail::thread_lock hold(queue_lock_);
  if (!detail::fifo<detail::waiter>::linked(self)) return;  // an unlock() has passed over it
  if (!HEDDLE_PLANTED(leaver_stays_linked)) queue_.erase(self);
  // Relaxed, as in announce().
  if (queue_.empty() || HEDDLE_PLANTED(leaver_clears_queued))
    state_.fetch_and(~std::uint32_t{HEDDLE_PLANTED(leaver_keeps_starving) ? queued : queued | starving},
                     std::memory_order_relaxed);
}

bool mutex::must_serve(std::uint32_t state) noexcept {
  return (state & queued) && ((state & starving) || !(state & woken));
}

void mutex::unlock_slow() noexcept { release("mutex"); }
void timed_mutex::unlock_timed_slow() noexcept { release("timed_mutex"); }

inline void mutex::release(const char* kind) noexcept {
  std::uint32_t state = state_.load(std::memory_order_relaxed);
  for (;;) {
    if (!(state & locked))
      detail::misuse(kind, this, "unlock() of a mutex that is not locked; unlock only what you have locked");
    if (must_serve(state) && !HEDDLE_PLANTED(unlock_skips_queue)) return serve_first();
    // release: so that the next holder sees what this one wrote; the acquire half is in try_lock() and take().
    // It is the last touch of the mutex, which may be gone as soon as another holder has had its turn.
    if (state_.compare_exchange_weak(state, state & ~std::uint32_t{locked}, std::memory_order_release,
                                     std::memory_order_relaxed))
      return;
  }
}

/// Takes the first out of the queue and either hands it the mutex or frees the mutex and wakes it to try.
/// The mutex stays alive until queue_lock_ is unlocked, since the one taken out still waits in lock().
void mutex::serve_first() noexcept {
  queue_lock_.lock();
  detail::waiter* const first = queue_.pop_claimed();
  if (!first) [[unlikely]]
    return serve_nobody();
  std::uint32_t state = state_.load(std::memory_order_relaxed);
  const bool hand_over = state & starving;
  first->result = hand_over ? handed_over : try_again;
  const std::uint32_t clear = (hand_over ? 0u : locked) | (queue_.empty() ? queued | starving : 0u);
  const std::uint32_t set = hand_over ? 0u : woken;
  // release: so that the next holder sees what this one wrote; the acquire half is in take(), or in the wake-up.
  while (!state_.compare_exchange_weak(state, (state & ~clear) | set, std::memory_order_release,
                                       std::memory_order_relaxed)) {
  }
  queue_lock_.unlock();
  first->wake();
}

/// The waits of all who were queued have ended otherwise. The mutex is still locked.
void mutex::serve_nobody() noexcept {
  // Relaxed, as in announce().
  if (!HEDDLE_PLANTED(passed_over_stay_queued))
    state_.fetch_and(~std::uint32_t{queued | starving}, std::memory_order_relaxed);
  queue_lock_.unlock();
  unlock_slow();
}

void mutex::destroyed_in_use(const char* kind) const noexcept {
  const std::uint32_t state = state_.load(std::memory_order_relaxed);
  detail::destroyed_in_use(kind, this,
                           state & queued   ? "destroyed while others wait for it; join them first"
                           : state & locked ? "destroyed while locked; unlock it first"
                                            : "destroyed while another lock() runs; join it first");
}

}  // namespace heddle
