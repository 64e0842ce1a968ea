// SPDX-License-Identifier: BSL-1.0
//
// The life of a runtime: start, drain, end; one at a time in a process.
#include <algorithm>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>

#include "heddle/run.hpp"
#include "heddle/this_fiber.hpp"
#include "overflow.hpp"
#include "platform_services.hpp"
#include "scheduler.hpp"
#include "settings.hpp"

namespace heddle {
namespace detail {
namespace {

struct process_state {
  std::mutex life;    // held while a runtime starts or ends
  bool lazy = false;  // the running one was started by go() or spawn() on a plain thread
  bool registered = false;
  atomic<scheduler*> active{nullptr};
  atomic<std::uint32_t> visitors{0};
  atomic<std::int32_t> parked_threads{0};
};

process_state& process() noexcept {
  // Never destroyed: plain threads may come while the process ends.
  alignas(process_state) static unsigned char space[sizeof(process_state)];
  static process_state* const state = ::new (space) process_state;
  return *state;
}

/// Only the thread that forked lives on in the child, as a plain thread; the runtime is left where it was.
void in_forked_child() noexcept {
  process_state& s = process();
  s.active.store(nullptr, std::memory_order_relaxed);
  s.visitors.store(0, std::memory_order_relaxed);
  s.parked_threads.store(0, std::memory_order_relaxed);
  s.lazy = false;
  ::new (&s.life) std::mutex;  // another thread may have held it: a runtime that starts or drains
  platform::set_thread_slot(nullptr);
}

void start_runtime(const options& given, bool lazy) {
  process_state& s = process();
  if (!s.registered) {
    // The blocks outlive the runtime, so the child must find them whole; everything else of it is left behind.
    platform::at_fork([] { fiber_pool::instance().before_fork(); }, [] { fiber_pool::instance().after_fork(); },
                      [] {
                        fiber_pool::instance().after_fork();
                        in_forked_child();
                      });
    std::atexit([] {
      if (!this_fiber::is_fiber()) shutdown();
    });
    s.registered = true;
  }
  const options o = effective_options(given);
  auto made = std::make_unique<scheduler>(o, o.procs);
  made->start();
  if (o.report_overflow) overflow_watch::begin();
  s.lazy = lazy;
  // release: so that plain threads see the scheduler whole; acquire half in scheduler::active(), visit.
  s.active.store(made.release(), std::memory_order_release);
}

void end_runtime() noexcept {
  process_state& s = process();
  scheduler* ending = s.active.load(std::memory_order_relaxed);
  for (;;) {
    ending->drain();
    // seq_cst: so that a visitor either sees no scheduler or is seen in the count; other half in visit.
    s.active.store(nullptr, std::memory_order_seq_cst);
    while (s.visitors.load(std::memory_order_seq_cst) != 0) platform::yield_thread();  // seq_cst: as above
    if (ending->alive() == 0) break;
    // A plain thread has started a fiber at the last moment: it is waited for too.
    s.active.store(ending, std::memory_order_release);  // release: as in start_runtime()
  }
  ending->stop();
  if (ending->settings.report_overflow) overflow_watch::end();
  delete ending;
}

void refuse_on_fiber(const char* what) {
  if (this_fiber::is_fiber()) throw std::logic_error(std::string(what) + ": called from a fiber");
}

}  // namespace

scheduler* scheduler::active() noexcept {
  return process().active.load(std::memory_order_acquire);  // acquire: so that it is seen whole
}

visit::visit() noexcept {
  process().visitors.fetch_add(1, std::memory_order_seq_cst);     // seq_cst: before the look; half in end_runtime()
  scheduler_ = process().active.load(std::memory_order_seq_cst);  // seq_cst: after the count
}
visit::~visit() {
  process().visitors.fetch_sub(1, std::memory_order_release);  // release: our uses are over; half in end_runtime()
}

void count_parked_thread(int change) noexcept { process().parked_threads.fetch_add(change, std::memory_order_relaxed); }

void ensure_started() {
  if (scheduler::active() != nullptr) return;
  std::lock_guard<std::mutex> hold(process().life);
  if (scheduler::active() == nullptr) start_runtime({}, true);
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
  pools_.push_back(std::make_unique<stack_pool>(o.stack_size));
  for (const std::size_t size : {segment_slot, small_segment_slot})
    pools_.push_back(std::make_unique<stack_pool>(size, stack_pool::growing{segment_reserve, 0}));
  for (std::uint32_t c = 0; c != common_stacks; ++c) common_pools_[c] = pools_[c].get();
  const sharing s = alone_ ? sharing::exclusive : sharing::stealable;
  for (unsigned i = 0; i != procs; ++i) processors.push_back(std::make_unique<processor>(i, s));
  for (unsigned i = procs; i != 0; --i) push_processor(*processors[i - 1]);
}

scheduler::~scheduler() {
  for (const auto& p : processors) {
    for (stack_list& cache : p->free_stacks)
      while (stack* s = cache.pop()) retire_stack(*s);
    fibers.put(p->free_fibers, p->free_fibers.count);
  }
  fibers.trim();
}

/// Throws std::system_error if no thread can be had for the first machine or the monitor: later ones can be done
/// without.
void scheduler::start() {
  machine* first = nullptr;
  {
    const thread_lock hold(lock_);
    first = new_machine();
    if (first == nullptr)
      throw std::system_error(std::make_error_code(std::errc::resource_unavailable_try_again),
                              "heddle: no kernel thread for the first machine");
    attach(*first, *pop_processor());
  }
  first->wake_word.store(1, std::memory_order_release);  // release: so that it sees its processor
  platform::futex_wake(first->wake_word, 1);
  if (!settings.monitor) return;
  try {
    monitor_.start();
  } catch (...) {
    stop();
    throw;
  }
}

void scheduler::run_machine(machine& m) noexcept {
  // acquire: so that the processor is seen; release half in hand_over() and start().
  while (m.wake_word.load(std::memory_order_acquire) == 0) platform::futex_wait(m.wake_word, 0);
  usual_words_.load();  // a fiber with others may have made this thread
  m.exceptions = thread_exception_state();
  m.home.memory = &m.home_stack;
  platform::describe_thread_stack(m.home_stack.bottom, m.home_stack.size, m.home_stack.tsan_fiber);
  announce_home_stack(m.home_stack);
  m.clock = platform::this_thread_clock();
  m.limit_slot = this_limit_slot();
  m.started.store(true, std::memory_order_release);  // release: so that the monitor sees the clock; acquire half there
  platform::set_thread_slot(&m);
  {
    const thread_lock hold(m.handoff);
    if (m.p == nullptr) return;
  }
  {
    const signal_stack handlers;
    machine_main(m);
  }
  retire_home_stack(m.home_stack);
  platform::set_thread_slot(nullptr);
}

void scheduler::drain() noexcept {
  count_parked_thread(+1);
  {
    const thread_lock hold(lock_);
    draining_ = true;
    drained_.store(0, std::memory_order_relaxed);
    check_drained();
  }
  // acquire: so that the runtime is seen at rest; release half in check_drained().
  while (drained_.load(std::memory_order_acquire) == 0) platform::futex_wait(drained_, 0);
  count_parked_thread(-1);
}

// The machines are joined without the lock, which the last of them take: no new one is made once the monitor has ended
// and stopping_ is set.
void scheduler::stop() noexcept HEDDLE_NO_THREAD_SAFETY_ANALYSIS {
  monitor_.stop();
  {
    const thread_lock hold(lock_);
    stopping_ = true;
    for (machine* m = idle_machines_; m != nullptr; m = m->next_idle) {
      m->wake_word.store(1, std::memory_order_release);  // release: so that it sees the stop
      platform::futex_wake(m->wake_word, 1);
    }
  }
  for (const auto& m : machines_) m->thread.join();
}

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

bool scheduler::deadlocked() noexcept {
  if (!all_idle() || alive() == 0 || earliest_timer() != no_deadline || work_visible()) return false;
  std::size_t ours = 0;
  {
    const thread_lock hold(lock_);
    ours = machines_.size() + 1;  // and the monitor
  }
  // Parked before and after: a thread that parks meanwhile may have started one that was not counted, and one that
  // is woken meanwhile may have been woken by one that has ended.
  const auto parked = [] {
    return process().parked_threads.load(std::memory_order_seq_cst);
  };  // seq_cst: in this order
  const int before = parked();
  const std::size_t threads = platform::process_threads();
  const int always = std::min(before, parked());
  return threads <= ours + static_cast<std::size_t>(always) && all_idle();
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
  std::size_t most = 0;
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
    n.machines = machines_.size();
  }
  const thread_lock hold(pools_lock_);
  for (const auto& pool : pools_) n.stacks += pool->made();
  n.segments = segments.made();
  return n;
}

// --- the public part ---------------------------------------------------------------------------------------------

runtime_scope::runtime_scope(const options& o) {
  refuse_on_fiber("heddle::run");
  std::lock_guard<std::mutex> hold(process().life);
  if (scheduler::active() != nullptr)
    throw std::logic_error(
        process().lazy
            ? "heddle::run: a runtime runs already, started by go() or spawn() on a plain thread; call shutdown() first"
            : "heddle::run: another run is in progress in this process");
  start_runtime(o, false);
}

runtime_scope::~runtime_scope() {
  std::lock_guard<std::mutex> hold(process().life);
  end_runtime();
}

}  // namespace detail

void shutdown() {
  detail::refuse_on_fiber("heddle::shutdown");
  std::lock_guard<std::mutex> hold(detail::process().life);
  if (detail::scheduler::active() != nullptr && detail::process().lazy) detail::end_runtime();
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
