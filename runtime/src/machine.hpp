// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>

#include "execution.hpp"
#include "processor.hpp"
#include "segment.hpp"

namespace heddle::detail {

class scheduler;

/// M: a kernel thread that runs fibers, with its own small stack (`home`) for when there is nothing to run. The record
/// outlives its thread, and serves another one later.
///
/// Who owns the processor, without a read-modify-write on the way:
/// 1. The machine raises `inside` before it touches `p` or anything of the processor, and lowers it before it
///    goes back to user code. While `inside` is up nobody takes the processor.
/// 2. Who wants to take it holds `handoff`, sets `revoked`, executes heavy_barrier(), and then reads `inside`:
///    down, it takes the processor and leaves `revoked` set; up, it clears `revoked` and goes away.
/// 3. A machine that reads `revoked` set waits for `handoff`, and then knows from `p`.
/// 4. `p`, `revoked` change only under `handoff`, or by the machine itself while asleep or on its home stack.
class alignas(64) machine {
 public:
  explicit machine(scheduler& s) noexcept : sched(s) {}
  machine(const machine&) = delete;
  machine& operator=(const machine&) = delete;

  /// Raises `inside`. False if the processor has been taken. May be nested; pair with leave(outer).
  bool enter() noexcept {
    inside.store(1, std::memory_order_relaxed);
    platform::light_barrier();  // the store above before the load below; heavy half in scheduler::revoke()
    if (revoked.load(std::memory_order_relaxed) != 0 && !HEDDLE_PLANTED(enter_ignores_revoked)) [[unlikely]]
      return enter_slow();
    return true;
  }
  void leave() noexcept {
    // release: so that whoever takes the processor sees what was done to it; acquire half in scheduler::revoke().
    inside.store(0, HEDDLE_PLANTED(leave_without_release) ? std::memory_order_relaxed : std::memory_order_release);
  }
  bool is_inside() const noexcept { return inside.load(std::memory_order_relaxed) != 0; }

  /// Suspends `from`, resumes `to`, and makes there the commit that `from` departs with. Returns when `from` is
  /// resumed, on whatever machine that is, which is returned. Called inside.
  static machine& change(machine& m, execution& from, execution& to) noexcept {
    m.departed = &from;
    from.save_exceptions(*m.exceptions);
    set_stack_limit(to.limit);
    sanitizer_leave(from, to);
    const transfer t = switch_context(to.context, &m);
    sanitizer_arrive(from);
    return arrive(t, from);
  }
  /// The first thing an execution does when it is resumed.
  static machine& arrive(transfer t, const execution& self) noexcept {
    machine& m = *static_cast<machine*>(t.data);
    execution& departed = *m.departed;
    departed.context = t.context;
    self.restore_exceptions(*m.exceptions);
    if (departed.commit != nullptr) departed.commit(departed.waits_at);
    return m;
  }

  atomic<std::uint32_t> inside{0};
  atomic<std::uint32_t> revoked{0};
  processor* p = nullptr;
  fiber* current = nullptr;  ///< null on the home stack
  execution* departed = nullptr;
  exception_state* exceptions = nullptr;  ///< this thread's, its address cached
  scheduler& sched;
  execution home;
  atomic<std::uintptr_t>* limit_slot = nullptr;  ///< this thread's, for the monitor
  /// Number of the announced blocking call the machine is in, 0 if in none. Written by the machine.
  atomic<std::uint32_t> call{0};
  std::uint32_t calls = 0;
  segment_cache growth;           ///< segments at hand for stacks that grow
  atomic<std::uint32_t> late{0};  ///< 1: its fiber is to yield; set by the monitor, see late.hpp
  stack home_stack;
  std::array<timer_heap::entry, 16> due{};  ///< timers that run_timers() has taken out

  alignas(64) thread_mutex handoff{lock_rank::handoff};
  enum : std::uint32_t {
    asleep = 0,
    woken = 1,       ///< with or without a processor
    look_again = 2,  ///< it stays idle, and polls if nobody does
  };
  /// Sleeps here, or in the poller.
  atomic<std::uint32_t> wake_word{asleep};
  atomic<std::uint32_t> polls{0};  ///< 1: it sleeps in the poller, or is about to
  bool spinning = false;           ///< counted in scheduler::spinning_
  bool listed = false;             ///< in the idle list, under the scheduler's lock
  bool leaving = false;            ///< dismissed while idle: its thread ends. Under the scheduler's lock
  bool on_trial = false;           ///< woken for work that may be gone: is it worth it? See scheduler::judge_wake()
  nanoseconds_t busy = 0;          ///< what it has done since, without the present stretch
  nanoseconds_t busy_since = 0;    ///< the begin of the present stretch, 0 outside
  machine* next_idle = nullptr;    ///< in the one list that holds it: idle, leaving, without a thread
  machine* previous_idle = nullptr;
  atomic<bool> started{false};   ///< `clock` may be read
  atomic<bool> at_home{true};    ///< no fiber is half off its stack: the machine is on its own, or about to leave it
  atomic<int> thread_number{0};  ///< of the kernel thread while it is this machine, else 0
  atomic<const fiber*> awaited{nullptr};  ///< the fiber that a collector keeps it from running
  machine* made_before = nullptr;         ///< in the list of all machines
  platform::thread_clock clock{};
  platform::thread thread;

 private:
  bool enter_slow() noexcept;
};

/// The machine that the calling kernel thread is, or null for a plain thread. Must be asked again after each
/// point where a fiber may have been suspended.
inline machine* this_machine() noexcept { return static_cast<machine*>(platform::thread_slot()); }

}  // namespace heddle::detail
