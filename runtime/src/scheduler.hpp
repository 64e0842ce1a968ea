// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <array>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "heddle/detail/deadline.hpp"
#include "heddle/run.hpp"
#include "machine.hpp"
#include "monitor.hpp"
#include "platform_services.hpp"
#include "poll/poller.hpp"
#include "report.hpp"

namespace heddle::detail {

// fiber_roots.cpp

/// The epoch of the latest scan of all stacks: scan_mark.hpp.
extern atomic<std::uint8_t> scan_epoch __attribute__((visibility("hidden")));
/// Called before m resumes f, which is not marked as scanned in this epoch, or which the collector holds. Returns when
/// it may run. Inside.
void resume_unscanned(machine& m, fiber& f) noexcept;
/// Waits while a scan reads memory of f that the caller is about to free.
void await_scan(const fiber& f) noexcept;
/// The mark that fibers made by the calling plain thread begin with.
std::uint8_t mark_of_thread() noexcept;
/// In a child: the collector's thread is gone. `forking`: the fiber that the only thread was, or null.
void forget_scan(const fiber* forking) noexcept;

/// The outcome of settle().
enum class settled : std::uint8_t {
  ended,  // no fiber is left
  rests,  // those that are left wait or sleep
  busy,   // the time was up while fibers ran, were about to, or were in blocking calls
};

/// Puts fibers on machines. One exists while a runtime runs.
///
/// Work conservation, the invariant everything here serves: no processor stays idle while a fiber is runnable.
/// 1. Who makes a fiber runnable publishes it first and then looks for idle processors; if there are any and nobody
///    spins, it wakes one machine, which counts as spinning before it is awake.
/// 2. A machine that goes idle counts its processor idle and itself not spinning first, then executes a heavy barrier,
///    and then looks at all queues once more. So who publishes needs no fence between the two.
/// 3. A spinning machine that finds work stops spinning; if it was the last, it looks in the same way, and wakes
///    another for what it sees.
/// 4. Wakes that find next to nothing to do make it reluctant: of two fibers that take turns on one processor, a wake
///    for each turn costs more than the fibers do. Then a machine is not woken for each fiber that waits alone; the
///    monitor looks at its next round whether one still waits, and wakes a machine for it (no monitor, no reluctance).
class scheduler {
 public:
  scheduler(const options& o, unsigned procs);
  ~scheduler();
  scheduler(const scheduler&) = delete;
  scheduler& operator=(const scheduler&) = delete;

  /// All machines there have been, by `made_before`. Their records stay as long as this.
  machine* machines() noexcept {
    return last_made_.load(
        std::memory_order_acquire);  // acquire: so that they are seen as made; release half where made
  }

  /// Whether p lies in memory for stacks. O(stacks' sizes), under locks.
  bool holds_stack(const char* p) noexcept;
  /// Lists memory for stacks that the kernel watches from now on, see watched_stacks. Throws std::bad_alloc.
  void watch_stacks(std::vector<watched_range>& out);

  // --- for fibers and machines, inside -----------------------------------------------------------------
  /// Makes f runnable before others of this processor (a wake). `m` may have lost its processor.
  void ready(machine& m, fiber* f) noexcept;
  /// Behind all others of this processor (a yield, an expired timer).
  void ready_last(machine& m, fiber* f) noexcept;
  /// The same for one that has rested for long and will run soon.
  void ready_from_afar(machine& m, fiber* f) noexcept;
  /// Suspends the running fiber and leaves; commit(arg) runs when it is off its stack.
  void park(machine& m, commit_fn commit, void* arg) noexcept;
  /// Lets others run, if there are any, and leaves.
  void yield(machine& m) noexcept;
  /// Runs f, which the running fiber joins, on that fiber's stack, to its end; false if f must have its own: it has
  /// begun, another is before it, or too much of the stack is used. From outside, and outside
  /// when it returns.
  bool run_joined(machine& m, fiber* f) noexcept;
  /// After a blocking call that cost the machine its processor: gets another, or queues the fiber globally.
  /// Returns inside, on the machine that the fiber has then.
  machine& regain(machine& m) noexcept;
  /// The fiber that m runs is about to block its thread: its processor goes to another machine. From outside.
  void release(machine& m) noexcept;
  /// The same for a call that blocks now, after which the fiber goes on on this thread. The processor is idle meanwhile
  /// if nothing waits for it. False if no machine could take it: the fiber keeps it then. From outside.
  bool lend(machine& m) noexcept;
  /// The end of that: takes a processor if one is idle. From outside.
  void rejoin(machine& m) noexcept;
  /// Puts t into the heap of the machine's processor, or into another's if it has none. Off the sleeper's stack.
  void add_timer(machine& m, timer& t) noexcept;
  /// The same from a plain thread; wakes a machine if none would look at the heap in time.
  void add_timer_from_thread(timer& t) noexcept;

  // --- for anybody ---------------------------------------------------------------------------------------
  /// Makes f runnable through the global queue.
  void inject(fiber* f) noexcept;
  /// An empty control block of the given stack size, with an id. `m`: null on a plain thread, else inside.
  fiber* make_fiber(machine* m, const closure_type& type, const fiber_options* o);
  /// The same without options, if the processor has a free block; else null. Inside.
  fiber* make_fiber_at_hand(machine& m, const closure_type& type) noexcept;
  void free_fiber(machine& m, fiber* f) noexcept;
  void count_ended(machine& m) noexcept;
  /// inject() for a fiber that was parked.
  void inject_woken(fiber* f) noexcept {
    f->state.store(fiber_state::runnable, std::memory_order_relaxed);
    inject(f);
  }
  /// The machine's fiber begins a blocking call.
  void announce(machine& m) noexcept;

  // --- machines ------------------------------------------------------------------------------------------
  /// The whole life of a machine's thread.
  void run_machine(machine& m) noexcept;
  /// How many machines nobody has needed since the last call, beside those that are kept; `more`: whether there will be
  /// some if all goes on like this.
  std::size_t spare_machines(bool& more) noexcept;
  /// Dismisses up to n idle machines beside those that are kept, and joins those that have ended. True if another is
  /// left to be joined. Never waits.
  bool end_machines(std::size_t n, std::size_t kept) noexcept;
  std::size_t kept_machines() const noexcept { return processors.size() + machines_in_hand; }

  // --- the monitor ---------------------------------------------------------------------------------------
  /// Takes the processor of a machine that is in user code, if it still is and `tick` still holds, and gives
  /// it to another machine. False if it could not be had.
  bool revoke(machine& m, processor& p, std::uint32_t tick) noexcept;
  /// Wakes a machine if a processor is idle while a timer is due or work is queued; when reluctant, only if `stuck`
  /// says that the work waits behind a fiber that has run since the last round, or if there is more than a lone one.
  void balance(nanoseconds_t now, bool stuck) noexcept;
  /// Sees to it that somebody polls: an idle machine, if there is one, else the monitor itself now and then.
  void look_after_poller(nanoseconds_t now) noexcept;
  /// Gives back the memory of stacks and control blocks that were not needed since the last call. True if there
  /// is more, which the next calls give back.
  bool give_back_memory() noexcept;
  /// Whether a queue holds more than `more_than` fibers, or the global one any.
  bool work_visible(std::uint32_t more_than = 0) const noexcept;
  /// Whether wakes for lone fibers are being spared: then the monitor must look.
  bool reluctant() const noexcept { return futile_.load(std::memory_order_relaxed) > trusted_wakes; }
  bool all_idle() noexcept;
  /// Changes with each turn of a fiber on a processor. A thread that finds all idle sees all that there were.
  std::uint32_t turns() const noexcept;
  /// Nothing runs, nothing is pending, and no other thread of the process could change that.
  bool deadlocked() noexcept;
  bool someone_sleeps() noexcept;
  bool call_with_work_behind() noexcept;
  /// The control words of the thread that started the runtime.
  const control_words& usual_words() const noexcept { return usual_words_; }
  nanoseconds_t slice() const noexcept { return std::min(time_to_wait(settings.slice), last_deadline / 4); }
  /// No fiber is left, and no thread but ours: the main thread has ended, too.
  bool nobody_left() noexcept;
  /// Ends the process with a report if fibers are left that nothing can wake.
  void report_deadlock() noexcept;
  nanoseconds_t earliest_timer() const noexcept;
  unsigned idle_processors() const noexcept { return idle_count_.load(std::memory_order_seq_cst); }

  // --- life ----------------------------------------------------------------------------------------------
  void start();
  /// Waits until no fiber is left, or the deadline has passed: false. From a plain thread, one at a time.
  bool drain(nanoseconds_t deadline = no_deadline) noexcept;
  /// The same, but does not wait for fibers that wait for others. Waits for sleeping fibers only until the sleeps that
  /// have begun when all rests for the first time are over, and `grace` longer, or not at all if that is 0. For fibers
  /// that go on it waits `busy` at most, from now on and once more when the time of the sleepers is over.
  settled settle(nanoseconds_t grace, nanoseconds_t busy = no_deadline) noexcept;
  /// Ends the threads of all idle machines, and waits for it: user code, the destructors of thread-locals, ends there.
  /// False if a machine is left that is not idle, since a fiber was started meanwhile, or the deadline has passed.
  bool dismiss_all(nanoseconds_t deadline = no_deadline) noexcept;
  /// No fiber is left, and no machine: none will come if plain threads cannot start any.
  bool at_end() noexcept;
  /// Ends the monitor.
  void stop() noexcept;
  /// The main thread is about to end, and perhaps the process with the last fiber: the monitor looks after it.
  void notice_main_left() noexcept;
  /// A call is held (held_calls.hpp): the monitor makes it, if nobody does so before.
  void notice_held_call() noexcept;
  /// One has fallen asleep (helpers.hpp).
  void notice_sleeping_helper() noexcept;
  /// Takes back a fiber that make_fiber() has made on a plain thread and that was never made runnable.
  void take_back(fiber* f) noexcept;
  /// The exception of main, for the reports: run() waits for the others before it rethrows.
  void note_failure(const char* text) noexcept;
  std::size_t alive() const noexcept;
  statistics count() noexcept;
  std::size_t deepest_stack() noexcept;

  const options settings;
  segment_pools segments;
  std::vector<std::unique_ptr<processor>> processors;
  fiber_pool& fibers = fiber_pool::instance();

 private:
  void machine_main(machine& m) noexcept;
  fiber* find_work(machine& m) noexcept;
  fiber* fair_pick(machine& m, processor& p) noexcept;
  fiber* pick(machine& m) noexcept;
  fiber* pick_quickly(processor& p) noexcept;
  fiber* pick_for_yield(machine& m, processor& p) noexcept;
  fiber* pick_with_stack(machine& m) noexcept;
  fiber* pick_slowly(machine& m, fiber* f) noexcept;
  fiber* take_global(processor& p) noexcept;
  fiber* steal(machine& m) noexcept;
  fiber* steal_from(processor& mine, processor& victim, bool last) noexcept;
  void run_timers(machine& m, processor& p) noexcept;
  bool poll(machine& m) noexcept;
  bool may_poll(const processor& p) const noexcept;
  bool sleep_in_poller(machine& m, nanoseconds_t deadline) noexcept;
  void rouse(machine& m) noexcept;
  bool lacks_poller() noexcept HEDDLE_REQUIRES(lock_);
  static execution& prepare(machine& m, fiber* f) noexcept { return prepare(m, *m.p, f); }
  static execution& prepare(machine& m, processor& p, fiber* f) noexcept;
  static void fiber_main(switch_argument raw);
  machine* end_fiber(machine* m, fiber* f) noexcept;
  /// Leaves an ended fiber's stack. Returns the fresh fiber that runs on it next, at once or after the stack has
  /// been in a free list, and the machine that this is on then.
  fiber* next_on(machine*& m, stack* s) noexcept;
  /// False if there is no memory for one: f then waits in starved_ until another fiber has ended.
  bool give_stack(machine& m, fiber* f) noexcept;
  bool take_stack(machine& m, fiber* f) noexcept;
  bool take_stack_at_hand(machine& m, fiber* f) noexcept;
  static void begin_on(fiber& f, stack& s) noexcept;
  bool starve(machine& m, fiber* f) noexcept;
  bool give_stacks_back(processor& p) noexcept;
  bool feed_starved(processor& p) noexcept HEDDLE_REQUIRES(lock_);
  void release_stack(machine& m, stack* s) noexcept;
  void push_back(processor& p, fiber* f) noexcept;
  void overflow(processor& p, fiber* f) noexcept;
  void push_fresh(processor& p, fiber* f) noexcept;
  void overflow_fresh(processor& p, fiber* f) noexcept;
  void inject_list(fiber_list& l) noexcept;

  // Idle protocol.
  void work_added() noexcept {
    platform::light_barrier();  // the push above before the looks below; heavy half in work_left_behind()
    // seq_cst, both: one order with the counts' changes.
    if (idle_count_.load(std::memory_order_seq_cst) != 0 && spinning_.load(std::memory_order_seq_cst) == 0) wake_one();
  }
  /// The same for work added to the queues of p, by its owner.
  void work_added(processor& p) noexcept {
    platform::light_barrier();  // as above
    // seq_cst, both: as above.
    if (idle_count_.load(std::memory_order_seq_cst) != 0 && spinning_.load(std::memory_order_seq_cst) == 0 &&
        !(reluctant() && spares_wake(p)))
      wake_one();
  }
  bool spares_wake(processor& p) noexcept;
  void judge_wake(machine& m) noexcept HEDDLE_REQUIRES(lock_);
  void wake_one() noexcept;
  void wake_one_here() noexcept;
  bool work_left_behind() const noexcept;
  bool may_spin(machine& m) noexcept;
  void stop_spinning(machine& m) noexcept;
  bool go_idle(machine& m) noexcept;
  bool await_processor(machine& m) noexcept;
  bool sleep(machine& m) noexcept;
  nanoseconds_t keep_time(machine& m) noexcept;
  bool wake_up_with_processor(machine& m) noexcept;
  void leave_nothing_behind() noexcept;
  void list_machine(machine& m) noexcept HEDDLE_REQUIRES(lock_);
  void unlist_machine(machine& m) noexcept HEDDLE_REQUIRES(lock_);
  void keep_no_time() noexcept HEDDLE_REQUIRES(lock_);
  processor* pop_processor() noexcept HEDDLE_REQUIRES(lock_);
  void push_processor(processor& p) noexcept HEDDLE_REQUIRES(lock_);
  void attach(machine& m, processor& p) noexcept;
  void detach(machine& m, processor& p) noexcept HEDDLE_REQUIRES(lock_);
  bool nothing_waits_for(const processor& p) const noexcept HEDDLE_REQUIRES(lock_);
  void hand_over(processor& p, bool spinning) noexcept HEDDLE_RELEASE(lock_);
  machine& make_machine() HEDDLE_REQUIRES(lock_);
  machine* new_machine() noexcept HEDDLE_REQUIRES(lock_);
  machine& threadless_machine() HEDDLE_REQUIRES(lock_);
  void dismiss(machine& m) noexcept HEDDLE_REQUIRES(lock_);
  void forget_thread(machine& m) noexcept HEDDLE_REQUIRES(lock_);
  void await_end(machine& leaver) const noexcept;
  void check_drained() noexcept HEDDLE_REQUIRES(lock_);
  nanoseconds_t last_sleep() noexcept;
  void report_failure() noexcept;
  bool nothing_runs() const noexcept HEDDLE_REQUIRES(lock_);

  thread_mutex lock_{lock_rank::scheduler};
  fiber_list global_ HEDDLE_GUARDED_BY(lock_);
  fiber_list starved_ HEDDLE_GUARDED_BY(lock_);  // fresh fibers for which there was no memory for a stack
  processor* idle_processors_ HEDDLE_GUARDED_BY(lock_) = nullptr;
  machine* idle_machines_ HEDDLE_GUARDED_BY(lock_) = nullptr;
  machine* timekeeper_ HEDDLE_GUARDED_BY(lock_) = nullptr;  // the idle machine that sleeps until the earliest timer
  nanoseconds_t timekeeper_deadline_ HEDDLE_GUARDED_BY(lock_) = no_deadline;
  std::uint32_t expired_before_ HEDDLE_GUARDED_BY(lock_) = 0;  // when a machine last began to keep the time
  atomic<machine*> last_made_{nullptr};
  std::deque<std::unique_ptr<machine>> machines_ HEDDLE_GUARDED_BY(lock_);  // all that were ever needed at a time
  machine* leaving_ HEDDLE_GUARDED_BY(lock_) = nullptr;                     // dismissed, their threads not joined yet
  machine* threadless_ HEDDLE_GUARDED_BY(lock_) = nullptr;                  // to be used again
  std::size_t threads_ HEDDLE_GUARDED_BY(lock_) = 0;                        // of machines, not joined
  std::size_t leavers_ HEDDLE_GUARDED_BY(lock_) = 0;                        // of these, dismissed
  std::size_t listed_ HEDDLE_GUARDED_BY(lock_) = 0;                         // idle machines
  std::size_t least_listed_ HEDDLE_GUARDED_BY(lock_) = 0;                   // since the last spare_machines()
  int detached_ HEDDLE_GUARDED_BY(lock_) = 0;    // machines that run a fiber without a processor
  bool ended_ HEDDLE_GUARDED_BY(lock_) = false;  // nothing is to be woken any more, whatever the monitor sees
  bool draining_ HEDDLE_GUARDED_BY(lock_) = false;
  bool settling_ HEDDLE_GUARDED_BY(lock_) = false;               // the drainer is told too if the fibers left only wait
  std::array<char, 256> failure_ HEDDLE_GUARDED_BY(lock_) = {};  // the exception of main
  bool machine_limit_reported_ HEDDLE_GUARDED_BY(lock_) = false;

  // Written under the lock, read by anyone.
  alignas(64) atomic<std::size_t> global_size_{0};
  atomic<std::uint32_t> idle_count_{0};
  atomic<std::uint32_t> starved_count_{0};
  atomic<std::uint32_t> expired_{0};  // timers, about: it only tells whether they lie close together
  atomic<std::uint32_t> futile_{0};   // wakes in a row that were not worth it
  // Machines that look for work without having any; written by anyone.
  alignas(64) atomic<std::uint32_t> spinning_{0};
  atomic<std::uint32_t> drained_{0};  // 1 when no fiber is left and drain() was asked for
  // Fibers made less fibers ended without a processor at hand.
  atomic<std::uint64_t> elsewhere_{0};

  thread_mutex pools_lock_{lock_rank::registry};
  std::vector<std::unique_ptr<stack_pool>> pools_ HEDDLE_GUARDED_BY(pools_lock_);  // by stack class
  std::array<stack_pool*, common_stacks> common_pools_{};                          // the first of them
  const bool segments_usable_;
  const std::uint32_t segmented_class_;  // what code compiled for it gets
  stack_pool& pool_of(const fiber& f) noexcept;
  stack_pool* pool_at(std::size_t stack_class) noexcept;
  fiber* take_fiber(processor& p) noexcept;
  void clear_and_free(machine& m, fiber* f) noexcept;
  static void clear_fiber(fiber& f, std::uint32_t stack_class) noexcept;
  std::uint32_t stack_class(const closure_type& type, const fiber_options* o);
  std::uint32_t sized_stack_class(std::size_t size, bool grows);

  // runnext_patience: how long a thief leaves a runnext alone before it takes it, in pauses: some microseconds.
  // trusted_wakes: as many in a row may be futile; each further one halves the wakes, most_spared times at most.
#if defined(HEDDLE_MODEL) && HEDDLE_MODEL
  static constexpr std::size_t machines_in_hand = 0;  // idle ones kept beside one for each processor
  static constexpr unsigned runnext_patience = 4;
  static constexpr std::uint32_t trusted_wakes = 0;
  static constexpr std::uint32_t most_spared = 2;
#else
  static constexpr std::size_t machines_in_hand = 4;
  static constexpr unsigned runnext_patience = 256;
  static constexpr std::uint32_t trusted_wakes = 4;
  static constexpr std::uint32_t most_spared = 12;
#endif
  // An idle machine sleeps no shorter for a timer. Where timers lie close together it would go to sleep and wake for
  // each, which costs more than all that a sleeper does.
#if defined(HEDDLE_MODEL) && HEDDLE_MODEL
  static constexpr nanoseconds_t shortest_sleep = 0;
  static constexpr nanoseconds_t shortest_sleep_if_dense = 0;
#else
  static constexpr nanoseconds_t shortest_sleep = 20'000;
  static constexpr nanoseconds_t shortest_sleep_if_dense = 100'000;
#endif
  // A busy machine looks for events at most so often; a look that finds none takes some 400 ns.
  static constexpr nanoseconds_t between_looks = 50'000;
  // The monitor takes care of events after so long.
  static constexpr nanoseconds_t before_nudge = 1'000'000;
  static constexpr nanoseconds_t before_own_look = 10'000'000;
  // What a machine must find to do so that waking it was worth it: what the wake costs the waker.
  static constexpr nanoseconds_t worth_a_wake = 5'000;
  const bool alone_;  // one processor: nobody steals, nobody spins
  // From the thread that starts the runtime, for threads that it has not made itself.
  const control_words usual_words_ = control_words::current();
  const sigset_t blocked_signals_ = platform::blocked_signals();
  poller& poller_ = poller::instance();
  monitor monitor_;
  friend class monitor;
};

inline execution& scheduler::prepare(machine& m, processor& p, fiber* f) noexcept {
  m.current = f;
  f->state.store(fiber_state::running, std::memory_order_relaxed);
  if (!f->mark.equals(scan_epoch)) [[unlikely]]
    resume_unscanned(m, *f);
  atomic<std::uint32_t>& tick = p.tick;
  tick.store(tick.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  return *f;
}

/// The common case of pick_with_stack(), inline: nothing is due, and a woken fiber waits here.
inline fiber* scheduler::pick_quickly(processor& p) noexcept {
  if (p.fairness <= 1 || p.timers.next_hint() != no_deadline) [[unlikely]]
    return nullptr;
  fiber* f = p.woken.take_next();
  if (f == nullptr) {
    f = p.woken.pop();
    if (f == nullptr) return nullptr;
  }
  --p.fairness;
  return f;
}

/// A plain thread's licence to use the running scheduler: it is not destroyed meanwhile. Short: a thread that ends the
/// runtime waits for it, so no user code is called.
///
/// 1. Null if none runs; never while a fiber lives that the caller is to wake or to make runnable.
/// 2. Fibers may be started only if it is open(), else the runtime may be about to end: start_from_thread() then waits
///    until the runtime has ended or has been opened again.
class visit {
 public:
  visit() noexcept;
  ~visit();
  visit(const visit&) = delete;
  visit& operator=(const visit&) = delete;
  scheduler* operator->() const noexcept { return scheduler_; }
  explicit operator bool() const noexcept { return scheduler_ != nullptr; }
  bool open() const noexcept;

 private:
  scheduler* scheduler_;
};

/// Plain threads that sleep in a primitive: they wake nobody, so the deadlock check leaves them out.
void count_parked_thread(int change) noexcept;
/// How many there are: plain threads that wait for fibers, the one in run() too.
int parked_threads() noexcept;
/// Differs between a process and its children, and is not 0: a thread counted in another one does not count here.
std::uint8_t process_era() noexcept;

/// Raises `inside` for a scope that may already be inside (a commit function, a timer that fires).
class critical_section {
 public:
  explicit critical_section(machine& m) noexcept : machine_(m), outermost_(!m.is_inside()) {
    if (outermost_) machine_.enter();
  }
  ~critical_section() {
    if (outermost_) machine_.leave();
  }
  critical_section(const critical_section&) = delete;
  critical_section& operator=(const critical_section&) = delete;

 private:
  machine& machine_;
  const bool outermost_;
};

/// Starts a runtime with default options if none runs; if one is just ending, waits until it has ended, or has been
/// opened again.
void ensure_started();
/// Whether a runtime runs, or is about to end.
bool runtime_present() noexcept;

}  // namespace heddle::detail
