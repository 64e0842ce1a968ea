// SPDX-License-Identifier: BSL-1.0
#include "heddle/mutex.hpp"

#include "heddle/detail/trusted.hpp"
#include "misuse.hpp"

namespace heddle {
namespace {

using detail::platform::cpu_relax;
using detail::platform::now;

/// Who has waited longer than this is given the mutex: Go's threshold, a tenth of a slice.
constexpr detail::nanoseconds_t patience = 1'000'000;

// Looks at a mutex that is held, each twice as far from the last as the one before. Each look takes the line from the
// holder, so they are few; together they take about as long as a sleep and a wake-up of another machine (12 us), which
// is where spinning stops to pay. Models have no use for more than one.
#if defined(HEDDLE_MODEL) && HEDDLE_MODEL
constexpr unsigned looks = 1;
constexpr unsigned first_pauses = 1;
#else
constexpr unsigned looks = 6;
constexpr unsigned first_pauses = 8;
#endif

/// What an unlocker tells the waiter it takes from the queue.
enum verdict : std::uint32_t {
  try_again = 0,    ///< The mutex was free a moment ago.
  handed_over = 1,  ///< The mutex is yours.
};

}  // namespace

/// One call of lock() that met a holder.
struct mutex::attempt {
  detail::waiter waiter;
  detail::nanoseconds_t since = 0;  ///< when it queued for the first time; 0: it has not
  unsigned looked = 0;              ///< while spinning, since it last woke
  bool awake = false;               ///< the bit `woken` was set for this one

  bool may_spin(std::uint32_t state) const noexcept {
    return looked < looks && !(state & starving) && detail::running_processors() > 1;
  }
  std::uint32_t own_bits() const noexcept { return awake ? woken : 0u; }
};

void mutex::lock_slow() noexcept {
  attempt self;
  std::uint32_t state = state_.load(std::memory_order_relaxed);
  for (;;) {
    if (!(state & locked)) {
      if (take(state, self)) return;
    } else if (self.may_spin(state)) {
      spin(state, self);
    } else {
      if (wait_turn(self)) return;
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
  for (unsigned i = 0; i < first_pauses << self.looked; ++i) cpu_relax();
  ++self.looked;
  state = state_.load(std::memory_order_relaxed);
}

/// Queues and sleeps. True: the mutex was handed over. False: it is free or was free, try again.
bool mutex::wait_turn(attempt& self) noexcept {
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
  self.waiter.park([](void* m) { static_cast<mutex*>(m)->queue_lock_.unlock_in_commit(); }, this);
  queue_lock_.unlocked_by_commit();
  self.looked = 0;
  self.awake = self.waiter.result == try_again;
  if (self.awake) return false;
  // Those behind have not waited long: back to the faster mode. Only the holder clears the bit.
  if (now() - self.since <= patience) state_.fetch_and(~std::uint32_t{starving}, std::memory_order_relaxed);
  return true;
}

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

bool mutex::must_serve(std::uint32_t state) noexcept {
  return (state & queued) && ((state & starving) || !(state & woken));
}

void mutex::unlock_slow() noexcept {
  std::uint32_t state = state_.load(std::memory_order_relaxed);
  for (;;) {
    if (!(state & locked))
      detail::misuse("mutex", this, "unlock() of a mutex that is not locked; unlock only what you have locked");
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
  detail::waiter* const first = queue_.pop_front();
  if (!first) detail::misuse("mutex", this, "unlocked twice at the same time; unlock only what you have locked");
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

void mutex::destroyed_in_use() const noexcept {
  const std::uint32_t state = state_.load(std::memory_order_relaxed);
  detail::misuse("mutex", this,
                 state & queued   ? "destroyed while others wait for it; join them first"
                 : state & locked ? "destroyed while locked; unlock it first"
                                  : "destroyed while another lock() runs; join it first");
}

}  // namespace heddle
