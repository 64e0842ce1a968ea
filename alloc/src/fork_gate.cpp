// SPDX-License-Identifier: BSL-1.0
#include "fork_gate.hpp"

#include <algorithm>
#include <climits>
#include <csignal>

#include "os.hpp"

namespace heddle::detail {

constinit fork_gate the_fork_gate;

namespace {

/// The stack of the calling thread for handlers of signals (sigaltstack). While such a handler runs that has it
/// disarmed (SS_AUTODISARM), the kernel says that there is none.
stack_t alternate_stack() noexcept {
  const os::errno_kept keep;
  stack_t s{};
  if (::sigaltstack(nullptr, &s) != 0) s.ss_flags = SS_DISABLE;
  return s;
}

}  // namespace

bool fork_gate::goes_on(std::uint32_t other, std::uint32_t place) noexcept {
  const bool is_above = static_cast<std::int32_t>(place - other) < 0;
  const stack_t s = alternate_stack();
  if ((s.ss_flags & SS_DISABLE) != 0) return is_above;
  const auto begin = static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(s.ss_sp) >> 4);
  const bool other_is_on_it = other - begin < s.ss_size >> 4;
  const bool is_on_it = (s.ss_flags & SS_ONSTACK) != 0;
  // Places on different stacks say nothing. A thread leaves the alternate stack only when the handler ends.
  return is_on_it == other_is_on_it ? is_above : is_on_it;
}

bool fork_gate::enter_slow(mark& mine, const void* self, patience p) noexcept {
  // acquire: as in enter().
  while (closed_.load(std::memory_order_acquire) != 0 && !is_mine(self)) {
    // release: as in leave().
    mine.store(0, std::memory_order_release);
    if (!wait_until_open(p)) return false;
    mine.store(place_on_stack(), std::memory_order_relaxed);
    platform::light_barrier();  // the other half is in close()
    if (HEDDLE_PLANTED(waiter_looks_once)) return true;
  }
  return true;
}

bool fork_gate::enter_as_guest(std::uint32_t& within, const void* self, patience p) noexcept {
  const std::uint32_t place = place_on_stack();
  const std::uint32_t other = within;
  if (other != 0 && goes_on(other, place)) return false;
  within = place;
  if (other != 0) return true;  // it is counted still
  for (;;) {
    // seq_cst, with the fence in close(): so that the gate is seen closed, or the guest is counted.
    guests_.fetch_add(1, std::memory_order_seq_cst);
    if (closed_.load(std::memory_order_seq_cst) == 0 || is_mine(self)) return true;
    // release: as in leave().
    guests_.fetch_sub(1, std::memory_order_release);
    if (!wait_until_open(p)) break;
  }
  within = 0;
  return false;
}

void fork_gate::leave_as_guest(std::uint32_t& within) noexcept {
  // release: as in leave().
  guests_.fetch_sub(1, std::memory_order_release);
  within = 0;
}

bool fork_gate::begin_closing(const void* self) noexcept {
  if (is_mine(self)) return false;
  std::uint32_t expected = 0;
  // seq_cst: with the fence in close(). acquire: so that the work of others before their fork is seen.
  while (!closed_.compare_exchange_strong(expected, 1, std::memory_order_seq_cst, std::memory_order_relaxed)) {
    expected = 0;
    platform::futex_wait(closed_, 1);
  }
  forking_.store(self, std::memory_order_relaxed);
  return true;
}

bool fork_gate::wait_until_open(patience p) noexcept {
  const nanoseconds_t deadline = platform::now() + longest_wait;
  while (closed_.load(std::memory_order_relaxed) != 0) {
    const bool bounded = p == patience::bounded;
    if (bounded && (stuck_.load(std::memory_order_relaxed) || platform::now() >= deadline)) {
      stuck_.store(true, std::memory_order_relaxed);
      return false;
    }
    platform::futex_wait(closed_, 1, bounded ? deadline : no_deadline);
  }
  return true;
}

bool fork_gate::wait_for_fork() noexcept {
  const nanoseconds_t deadline = platform::now() + longest_last_wait;
  while (closed_.load(std::memory_order_relaxed) != 0) {
    if (platform::now() >= deadline) return false;
    platform::futex_wait(closed_, 1, deadline);
  }
  return true;
}

void fork_gate::wait_until(const mark& m, std::uint32_t value, nanoseconds_t begin, bool within) const noexcept {
  constexpr nanoseconds_t longest_pause = 1'000'000;
  atomic<std::uint32_t> never{0};
  // acquire: so that the work of others is seen; release halves in leave() and its relatives.
  for (nanoseconds_t pause = 1'000; m.load(std::memory_order_acquire) != value;
       pause = std::min(2 * pause, longest_pause)) {
    const nanoseconds_t now = platform::now();
    const bool is_short = within || held_up_.load(std::memory_order_relaxed) != 0;
    if (now - begin >= (is_short ? longest_drain_within : longest_drain)) return;
    platform::futex_wait(never, 0, now + pause);
  }
}

void fork_gate::open() noexcept {
  forking_.store(nullptr, std::memory_order_relaxed);
  stuck_.store(false, std::memory_order_relaxed);
  // release: so that the next thread sees the work of the thread that forked; acquire half in enter_slow().
  closed_.store(0, std::memory_order_release);
  platform::futex_wake(closed_, INT_MAX);
}

void fork_gate::open_in_child(std::uint32_t own_guests) noexcept {
  guests_.store(own_guests, std::memory_order_relaxed);
  held_up_.store(0, std::memory_order_relaxed);
  open();
}

}  // namespace heddle::detail
