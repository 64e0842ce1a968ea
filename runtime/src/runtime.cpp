// SPDX-License-Identifier: BSL-1.0
//
// The life of a runtime: start, drain, end; one at a time in a process.
#include <algorithm>
#include <array>
#include <cstdio>
#include <limits>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>

#include "blocked_calls.hpp"
#include "debug_layout.hpp"
#include "exit.hpp"
#include "heddle/detail/fiber_roots.hpp"
#include "heddle/run.hpp"
#include "heddle/this_fiber.hpp"
#include "held_calls.hpp"
#include "helpers.hpp"
#include "overflow.hpp"
#include "pinned.hpp"
#include "platform_services.hpp"
#include "scheduler.hpp"
#include "settings.hpp"

namespace heddle {
namespace detail {
namespace {

/// The one runtime of the process.
///
/// 1. Starting and ending exclude each other by `life`. Nobody holds it while user code runs or is waited for: a thread
///    that ends the runtime says so in `ending`, and others that want to end it, or start the next, wait for `changes`.
/// 2. `active` and `present` name it. While end_runtime() looks whether all has ended, `active` is null, so that no
///    plain thread starts a fiber meanwhile; if a fiber is left after all, it is set again.
/// 3. `present` stays until no fiber is left, so a thread that is to wake one finds the scheduler there. A scheduler is
///    deleted when both are null and no visitor is left that may have seen it.
struct process_state {
  thread_mutex life{lock_rank::life};
  scheduler* running HEDDLE_GUARDED_BY(life) = nullptr;
  bool lazy HEDDLE_GUARDED_BY(life) = false;  // started by go() or spawn() on a plain thread
  bool ending HEDDLE_GUARDED_BY(life) = false;
  atomic<std::uint32_t> changes{0};  // of `running`, `ending`, and of `active` from null to something
  atomic<scheduler*> active{nullptr};
  atomic<scheduler*> present{nullptr};
  atomic<std::uint32_t> visitors{0};
  atomic<std::int32_t> parked_threads{0};
  atomic<unsigned> processors{1};  // of the running one, only to know whether spinning helps
  std::uint8_t era = 1;            // changes in a forked child, before it has a second thread
};

process_state& process() noexcept {
  // Never destroyed: plain threads may come while the process ends.
  alignas(process_state) static unsigned char space[sizeof(process_state)];
  static process_state* const state = ::new (space) process_state;
  return *state;
}

constinit std::atomic<int (*)() noexcept> let_through_signal{nullptr};
/// 0: none.
int let_through_number() noexcept {
  const auto signal = let_through_signal.load(std::memory_order_relaxed);
  return signal == nullptr ? 0 : signal();
}

/// Only the thread that forked lives on in the child, as a plain thread; the runtime is left where it was.
void in_forked_child() noexcept HEDDLE_NO_THREAD_SAFETY_ANALYSIS {
  process_state& s = process();
  s.active.store(nullptr, std::memory_order_relaxed);
  s.present.store(nullptr, std::memory_order_relaxed);
  s.processors.store(1, std::memory_order_relaxed);
  s.running = nullptr;
  s.ending = false;
  forget_exit();
  s.visitors.store(0, std::memory_order_relaxed);
  s.parked_threads.store(0, std::memory_order_relaxed);
  s.era = static_cast<std::uint8_t>(s.era % 255 + 1);
  s.lazy = false;
  ::new (&s.life) thread_mutex(lock_rank::life);  // another thread may have held it: a runtime that starts or drains
  const machine* const m = this_machine();
  forget_helpers();
  forget_scan(m != nullptr ? m->current : nullptr);
  if (m == nullptr) return;
  if (m->current != nullptr) platform::set_thread_locals(m->current->locals);
  platform::set_thread_slot(nullptr);
}

void note_change(process_state& s) noexcept {
  s.changes.fetch_add(1, std::memory_order_release);  // release: so that a waiter sees the change
  platform::futex_wake(s.changes, static_cast<unsigned>(std::numeric_limits<int>::max()));
}

void start_runtime(process_state& s, const options& given, bool lazy) HEDDLE_REQUIRES(s.life) {
  heed_forks();
  watch_exit();
  watch_end_of_thread();
  look_for_openmp();
  look_for_blocking_calls();
  const options o = effective_options(given);
  fiber_pool::instance().leave_parents();
  auto made = std::make_unique<scheduler>(o, o.procs);
  made->start();
  if (o.report_overflow) overflow_watch::begin();
  s.lazy = lazy;
  s.running = made.release();
  s.processors.store(static_cast<unsigned>(s.running->processors.size()), std::memory_order_relaxed);
  // release, both: so that plain threads see the scheduler whole; acquire half in visit.
  s.present.store(s.running, std::memory_order_release);
  s.active.store(s.running, std::memory_order_release);
  note_change(s);
}

void await_visitors(process_state& s) noexcept {
  // seq_cst: after the pointers are null, so that a visitor either sees that or is seen here; other half in visit.
  while (s.visitors.load(std::memory_order_seq_cst) != 0) platform::yield_thread();
}

void give_up_end(process_state& s) noexcept {
  const thread_lock hold(s.life);
  s.ending = false;
  note_change(s);
}

/// For a thread to which claim_end() has given the right. False if fibers are left at the deadline, since plain threads
/// go on starting them: then the right is given up.
bool end_runtime(process_state& s, scheduler* ending, nanoseconds_t deadline = no_deadline) noexcept {
  for (;;) {
    do {
      if (ending->drain(deadline)) continue;
      give_up_end(s);
      return false;
    } while (!ending->dismiss_all(deadline));
    s.active.store(nullptr, std::memory_order_seq_cst);  // seq_cst: as in await_visitors()
    await_visitors(s);
    if (ending->at_end()) break;
    // A plain thread has started a fiber at the last moment: it is waited for too.
    s.active.store(ending, std::memory_order_release);  // release: as in start_runtime()
    note_change(s);
  }
  s.present.store(nullptr, std::memory_order_seq_cst);  // seq_cst: as in await_visitors()
  await_visitors(s);                                    // that only look at it
  s.processors.store(1, std::memory_order_relaxed);
  ending->stop();
  if (ending->settings.report_overflow) overflow_watch::end();
  delete ending;
  const thread_lock hold(s.life);
  s.running = nullptr;
  s.ending = false;
  note_change(s);
  return true;
}

/// Sleeps until something has changed since `seen`; false if the deadline has passed before. A thread that waits for
/// the end of a runtime without a deadline wakes nobody.
bool await_change(process_state& s, std::uint32_t seen, nanoseconds_t deadline = no_deadline) noexcept {
  const int parked = deadline == no_deadline ? 1 : 0;
  count_parked_thread(+parked);
  bool changed = false;
  do {
    // acquire: so that the state is seen as it is then; release half in note_change().
    changed = s.changes.load(std::memory_order_acquire) != seen;
    if (!changed) sleep_on(s.changes, seen, deadline);
  } while (!changed && (deadline == no_deadline || platform::now() < deadline));
  count_parked_thread(-parked);
  return changed;
}

/// The running runtime if go() or spawn() has started it, and the right to end it; null if none such runs. Waits for
/// others who are ending it, but not beyond the deadline.
scheduler* claim_end(process_state& s, nanoseconds_t deadline = no_deadline) noexcept {
  for (;;) {
    const std::uint32_t seen = s.changes.load(std::memory_order_acquire);  // acquire: as in await_change()
    {
      const thread_lock hold(s.life);
      if (s.running == nullptr || !s.lazy) return nullptr;
      if (!s.ending) {
        s.ending = true;
        return s.running;
      }
    }
    if (!await_change(s, seen, HEDDLE_PLANTED(end_awaited_for_ever) ? no_deadline : deadline)) return nullptr;
  }
}

/// Starts a runtime for run(), or returns the lazy one that is in the way, and the right to end it.
scheduler* start_or_claim(process_state& s, const options& o) {
  for (;;) {
    const std::uint32_t seen = s.changes.load(std::memory_order_acquire);  // acquire: as in await_change()
    {
      const thread_lock hold(s.life);
      if (s.running == nullptr) {
        start_runtime(s, o, false);
        return nullptr;
      }
      if (!s.ending) {
        if (!s.lazy) throw std::logic_error("heddle::run: another run is in progress in this process");
        s.ending = true;
        return s.running;
      }
    }
    await_change(s, seen);
  }
}

void refuse_on_fiber(const char* what) {
  if (this_fiber::is_fiber()) throw std::logic_error(std::string(what) + ": called from a fiber");
}

}  // namespace

void let_through(int (*signal)() noexcept) noexcept { let_through_signal.store(signal, std::memory_order_relaxed); }

void heed_forks() noexcept {
  // The blocks outlive the runtime, so the child must find them whole; everything else of it is left behind.
  [[maybe_unused]] static const bool once = [] {
    platform::at_fork(
        [] {  // in the order of their ranks
          poller::instance().before_fork();
          fiber_pool::instance().before_fork();
        },
        [] {
          poller::instance().after_fork();
          fiber_pool::instance().after_fork();
        },
        [] {
          poller::instance().after_fork_in_child();
          fiber_pool::instance().after_fork_in_child();
          in_forked_child();
        });
    return true;
  }();
}

visit::visit() noexcept {
  process().visitors.fetch_add(1, std::memory_order_seq_cst);      // seq_cst: before the looks; half in end_runtime()
  scheduler_ = process().present.load(std::memory_order_seq_cst);  // seq_cst: after the count
}
visit::~visit() {
  process().visitors.fetch_sub(1, std::memory_order_release);  // release: our uses are over; half in end_runtime()
}
bool visit::open() const noexcept {
  return process().active.load(std::memory_order_seq_cst) == scheduler_;  // seq_cst: after the count, too
}

void count_parked_thread(int change) noexcept { process().parked_threads.fetch_add(change, std::memory_order_relaxed); }
int parked_threads() noexcept { return process().parked_threads.load(std::memory_order_relaxed); }

std::uint8_t process_era() noexcept { return process().era; }

bool on_dismissed_machine() noexcept { return platform::thread_note() == process().era; }

void ensure_started() {
  process_state& s = process();
  for (;;) {
    const std::uint32_t seen = s.changes.load(std::memory_order_acquire);  // acquire: as in await_change()
    if (s.active.load(std::memory_order_relaxed) != nullptr) return;       // its user looks again, in visit
    {
      const thread_lock hold(s.life);
      if (s.active.load(std::memory_order_relaxed) != nullptr) return;
      if (s.running == nullptr) return start_runtime(s, {}, true);
    }
    await_change(s, seen);
  }
}

bool runtime_present() noexcept { return process().present.load(std::memory_order_relaxed) != nullptr; }

unsigned running_processors() noexcept { return process().processors.load(std::memory_order_relaxed); }

bool processors_busy() noexcept {
  static const unsigned usable = usable_processors();
  const visit s;
  return s && s->idle_processors() == 0 && s->processors.size() >= usable;
}

bool processor_idle() noexcept {
  const visit s;
  return s && s->idle_processors() != 0;
}

settled wind_up(nanoseconds_t grace, nanoseconds_t busy) noexcept {
  const calls_held meanwhile;
  process_state& s = process();
  const nanoseconds_t until = platform::now() + busy;
  do {
    scheduler* const lazy = claim_end(s, until);
    if (lazy == nullptr) return platform::now() < until ? settled::ended : settled::busy;  // another ends it
    const settled how = lazy->settle(grace, busy);
    if (how != settled::ended) {
      give_up_end(s);
      return how;
    }
    if (!end_runtime(s, lazy, platform::now() + busy)) return settled::busy;
  } while (platform::now() < until);  // plain threads may go on starting runtimes
  return settled::ended;
}

// --- the scheduler's own part ----------------------------------------------------------------------------------

scheduler::scheduler(const options& o, unsigned procs)
    : settings(o),
      segments_usable_(has_segments && linker_raises_headroom()),
      segmented_class_(!segments_usable_        ? default_stack
                       : o.segment_size == 1024 ? small_segment_stack
                                                : segment_stack),
      alone_(procs == 1),
      monitor_(*this) {
  tell_of_contexts();
  pools_.push_back(std::make_unique<stack_pool>(o.stack_size));
  for (const std::size_t size : {segment_slot, small_segment_slot})
    pools_.push_back(std::make_unique<stack_pool>(size, stack_pool::growing{segment_reserve, 0}));
  for (std::uint32_t c = 0; c != common_stacks; ++c) common_pools_[c] = pools_[c].get();
  const sharing s = alone_ ? sharing::exclusive : sharing::stealable;
  for (unsigned i = 0; i != procs; ++i) processors.push_back(std::make_unique<processor>(i, s));
  for (unsigned i = procs; i != 0; --i) push_processor(*processors[i - 1]);
}

scheduler::~scheduler() {
  poller_.forget_runtime();
  for (const auto& p : processors) {
    for (stack_list& cache : p->free_stacks)
      while (stack* s = cache.pop()) retire_stack(*s);
    fibers.put(p->free_fibers, p->free_fibers.count);
  }
  for (const auto& m : machines_)
    for (const growth_list& list : m->growth.lists)
      for (stack* s = list.head; s != nullptr; s = s->next) retire_stack(*s);
  fibers.trim();
}

/// Throws std::system_error if no thread can be had for the first machine or the monitor: later ones can be done
/// without.
void scheduler::start() {
  machine* first = nullptr;
  {
    const thread_lock hold(lock_);
    first = &make_machine();
    attach(*first, *pop_processor());
  }
  first->wake_word.store(machine::woken, std::memory_order_release);  // release: so that it sees its processor
  platform::futex_wake(first->wake_word, 1);
  if (!settings.monitor) return;
  try {
    monitor_.start();
  } catch (...) {
    do drain();
    while (!dismiss_all());
    throw;
  }
}

void scheduler::run_machine(machine& m) noexcept {
  // acquire: so that the processor is seen; release half in hand_over() and start().
  while (m.wake_word.load(std::memory_order_acquire) == machine::asleep)
    platform::futex_wait(m.wake_word, machine::asleep);
  usual_words_.load();  // a fiber with others may have made this thread, or the monitor
  platform::block_signals(blocked_signals_);
  if (const int number = let_through_number(); number != 0) platform::unblock_signal(number);
  m.exceptions = thread_exception_state();
  m.home.memory = &m.home_stack;
  platform::describe_thread_stack(m.home_stack.bottom, m.home_stack.size, m.home_stack.tsan_fiber);
  announce_home_stack(m.home_stack);
  m.clock = platform::this_thread_clock();
  m.limit_slot = this_limit_slot();
  m.started.store(true, std::memory_order_release);  // release: so that the monitor sees the clock; acquire half there
  m.thread_number.store(platform::thread_number(), std::memory_order_relaxed);
  platform::set_thread_slot(&m);
  {
    const signal_stack handlers;
    machine_main(m);
  }
  for (growth_list& list : m.growth.lists)
    for (; list.head != nullptr; --list.count) segments.put(*std::exchange(list.head, list.head->next));
  retire_home_stack(m.home_stack);
  m.thread_number.store(0, std::memory_order_relaxed);
  platform::set_thread_slot(nullptr);
  platform::note_on_thread(process().era);
}

void scheduler::stop() noexcept { monitor_.stop(); }

void scheduler::notice_main_left() noexcept { monitor_.wake(); }
void scheduler::notice_held_call() noexcept { monitor_.wake(); }
void scheduler::notice_sleeping_helper() noexcept { monitor_.helper_sleeps(); }

std::size_t scheduler::alive() const noexcept {
  std::uint64_t n = elsewhere_.load(std::memory_order_relaxed);
  for (const auto& p : processors)
    n += p->made.load(std::memory_order_relaxed) - p->ended.load(std::memory_order_relaxed);
  return static_cast<std::size_t>(n);
}

bool scheduler::all_idle() noexcept {
  const thread_lock hold(lock_);
  return idle_count_.load(std::memory_order_relaxed) == processors.size() && detached_ == 0;
}

std::uint32_t scheduler::turns() const noexcept {
  std::uint32_t sum = 0;
  for (const auto& p : processors) sum += p->tick.load(std::memory_order_relaxed);
  return sum;
}

/// Kernel threads of the process without helpers that have slept all the time.
static std::size_t threads_beside_helpers() noexcept {
  const std::size_t before = sleeping_helpers();
  const std::size_t threads = platform::process_threads();
  return threads - std::min(before, sleeping_helpers());
}

/// Whether the time ends a wait. An alarm by itself, which a descriptor has left behind, wakes nobody.
bool scheduler::someone_sleeps() noexcept {
  return std::any_of(processors.begin(), processors.end(), [](const auto& p) { return p->timers.has_sleepers(); });
}

bool scheduler::deadlocked() noexcept {
  // If no fiber has had a turn, all was idle all the time. Else a thread may have woken one and parked, and the fiber
  // may have woken that thread and be idle again.
  const std::uint32_t before_all = turns();
  if (!all_idle() || alive() == 0 || someone_sleeps() || work_visible() || poller_.awaited()) return false;
  std::size_t ours = 0;
  {
    const thread_lock hold(lock_);
    if (leavers_ != 0) return false;  // they run user code, or have ended: it is not known how many there are
    ours = threads_ + 1;              // and the monitor
  }
  // Parked before and after: a thread that parks meanwhile may have started one that was not counted, and one that
  // is woken meanwhile may have been woken by one that has ended.
  const auto parked = [] {
    return process().parked_threads.load(std::memory_order_seq_cst);
  };  // seq_cst: in this order
  const int before = parked();
  const std::size_t threads = threads_beside_helpers();
  const int always = std::min(before, parked());
  return threads <= ours + static_cast<std::size_t>(always) && !platform::handler_may_come(let_through_number()) &&
         all_idle() && (turns() == before_all || HEDDLE_PLANTED(idle_again));
}

bool scheduler::nobody_left() noexcept {
  if (!all_idle() || alive() != 0 || !platform::main_thread_gone()) return false;
  const std::size_t threads = threads_beside_helpers();
  const thread_lock hold(lock_);
  return leavers_ == 0 && threads <= threads_ + 1;
}

void scheduler::announce(machine& m) noexcept {
  // m.p may be taken at any moment here, so the queues are not looked at: the monitor does.
  (void)m;
  monitor_.call_begins();
}

bool scheduler::call_with_work_behind() noexcept {
  if (!work_visible()) return false;
  for (const auto& p : processors) {
    // acquire: so that the machine is seen as made; release half in attach().
    const machine* m = p->owner.load(std::memory_order_acquire);
    if (m != nullptr && m->call.load(std::memory_order_relaxed) != 0) return true;
  }
  return false;
}

stack_pool* scheduler::pool_at(std::size_t stack_class) noexcept {
  const thread_lock hold(pools_lock_);
  return stack_class < pools_.size() ? pools_[stack_class].get() : nullptr;
}

bool scheduler::give_back_memory() noexcept {
  bool more = fibers.give_back();
  std::size_t c = default_stack;
  while (stack_pool* pool = pool_at(c)) {
    more |= pool->give_back();
    c = c == default_stack && !has_segments ? std::size_t{common_stacks} : c + 1;
  }
  return (has_segments && segments.give_back()) || more;
}

std::size_t scheduler::deepest_stack() noexcept {
  const thread_lock hold(pools_lock_);
  std::size_t most = segments.deepest();
  for (const auto& pool : pools_) most = std::max(most, pool->deepest());
  return most;
}

statistics scheduler::count() noexcept {
  statistics n;
  n.fibers = alive();
  n.idle_processors = idle_processors();
  n.spinning = spinning_.load(std::memory_order_relaxed);
  n.queued = global_size_.load(std::memory_order_relaxed);
  for (const auto& p : processors) n.timers += p->timers.size();
  {
    const thread_lock hold(lock_);
    n.machines = threads_;
  }
  const thread_lock hold(pools_lock_);
  for (const auto& pool : pools_) n.stacks += pool->made();
  n.segments = segments.made();
  poller_.count(n);
  return n;
}

// --- the public part ---------------------------------------------------------------------------------------------

runtime_scope::runtime_scope(const options& o) {
  refuse_on_fiber("heddle::run");
  if (on_dismissed_machine())
    throw std::logic_error(
        "heddle::run: called by the destructor of a thread-local on a thread of a runtime, which cannot end before "
        "that "
        "thread has; start fibers there with go() or spawn()");
  process_state& s = process();
  calls_held until_run_returns;
  while (scheduler* const lazy = start_or_claim(s, o)) {
    if (lazy->settle(0) == settled::ended) {
      end_runtime(s, lazy);
      continue;
    }
    const std::size_t left = lazy->alive();
    give_up_end(s);
    throw std::logic_error("heddle::run: a runtime runs already, started by go() or spawn() on a plain thread, and " +
                           std::to_string(left) +
                           (left == 1 ? " fiber of it sleeps or waits" : " fibers of it sleep or wait") +
                           "; start them inside of run(), or let them end first (shutdown() waits for them)");
  }
  until_run_returns.go_on();
}

void runtime_scope::main_has_thrown() noexcept {
  std::array<char, 256> text;
  describe_exception(text.data(), text.size());
  if (const visit s; s) s->note_failure(text.data());
}

runtime_scope::~runtime_scope() {
  process_state& s = process();
  scheduler* ending = nullptr;
  {
    const thread_lock hold(s.life);
    s.ending = true;
    ending = s.running;
  }
  end_runtime(s, ending);
  calls_held::let_go();
}

}  // namespace detail

void shutdown() {
  detail::refuse_on_fiber("heddle::shutdown");
  if (detail::on_dismissed_machine()) return;
  const detail::calls_held meanwhile;
  detail::process_state& s = detail::process();
  if (detail::scheduler* const lazy = detail::claim_end(s)) detail::end_runtime(s, lazy);
}

unsigned processors() noexcept {
  if (const detail::visit s; s) return static_cast<unsigned>(s->processors.size());
  return detail::usable_processors();
}

std::size_t deepest_stack() noexcept {
  const detail::visit s;
  return s ? s->deepest_stack() : 0;
}

statistics stats() noexcept {
  const detail::visit s;
  return s ? s->count() : statistics{};
}

}  // namespace heddle
