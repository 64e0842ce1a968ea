// SPDX-License-Identifier: BSL-1.0
#include "cycle/collector.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <utility>

#include "barrier/mutators.hpp"
#include "barrier/waits.hpp"
#include "cycle/finisher.hpp"
#include "cycle/fork.hpp"
#include "cycle/leaks.hpp"
#include "cycle/promptness.hpp"
#include "cycle/roots.hpp"
#include "heap/cards.hpp"
#include "heap/immortal.hpp"
#include "mark/mark_check.hpp"
#include "mark/old_objects.hpp"
#include "pace/options.hpp"

namespace heddle::gc::detail {

namespace platform = heddle::detail::platform;
using heddle::detail::nanoseconds_t;
using heddle::detail::thread_lock;

static constinit immortal<collector> the_one;
constinit collector& the_collector = the_one.value;

namespace {

/// Of the calling thread.
nanoseconds_t cpu_time() noexcept {
  timespec t;
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<nanoseconds_t>(t.tv_sec) * 1'000'000'000 + t.tv_nsec;
}

}  // namespace

// --- the thread, and waits for a cycle ------------------------------------------------------------------------------

bool collector::ensure_thread() noexcept {
  const thread_lock hold(lock_);
  if (has_thread_) return true;
  try {
    thread_ = platform::thread(main, this, "heddle-gc");  // never joined, and in a child there is another
    has_thread_ = true;
  } catch (const std::exception& e) {
    // The next request tries again; until then the heap grows.
    std::fprintf(stderr, "heddle: the collector has no thread: %s\n", e.what());
  }
  return has_thread_;
}

void collector::main(void* self) noexcept {
  be_prompt();
  auto& c = *static_cast<collector*>(self);
  for (;;) {
    c.requests_.await_request();
    // A thread may have found a cycle due before the last one began, and have said so afterwards.
    if (!the_pacer().is_due() && !c.requests_.anyone_waits()) continue;
    {
      const thread_lock hold(c.cycle_lock_);
      c.cycle();
    }
    c.requests_.end_cycle();
  }
}

void collector::start() noexcept { ensure_thread(); }

void collector::wait_until(std::uint64_t cycle) noexcept {
  heed_forks();
  if (ensure_thread()) requests_.wait_until(cycle);
}

void collector::collect() noexcept {
  whole_next();
  wait_until(requests_.next());
}

void collector::collect_young() noexcept {
  young_next();
  wait_until(requests_.next());
}

bool collector::is_generational() const noexcept {
  const mode m = mode_.load(std::memory_order_relaxed);
  return m == mode::by_options ? the_options().generational : m == mode::generational;
}

bool collector::set_generational(bool on) noexcept {
  const thread_lock hold(lock_);
  const bool before = is_generational();
  if (on && !the_cards.begin()) {
    std::fputs("heddle: no address space for the cards of generations: each cycle is a whole one\n", stderr);
    on = false;
  }
  mode_.store(on ? mode::generational : mode::mark_sweep, std::memory_order_relaxed);
  return before;
}

void collector::collect_and_look() noexcept {
  look_next();
  collect();
  if (!the_leaks().has_unsure()) return;
  look_next();
  collect();
}

void collector::wait_while_overdrawn() noexcept {
  // In this order: a cycle that ends in between has made room, and no other one is due.
  const std::uint64_t cycle = requests_.present_or_next();
  if (!the_pacer().overdrawn()) return;
  const timed_wait wait(wait_cause::cycle);
  wait_until(cycle);
}

void collector::after_fork_in_child() noexcept HEDDLE_NO_THREAD_SAFETY_ANALYSIS {
  lock_.become_free();
  has_thread_ = false;
  requests_.after_fork_in_child();
}

cycle_totals collector::totals() noexcept {
  const thread_lock hold(lock_);
  return totals_;
}

void collector::collect_with(trail& t) noexcept {
  const std::uint64_t next = requests_.next();
  trail* none = nullptr;
  // release: so that the trail is seen empty; acquire half in main(), by the request that follows.
  while (!trail_.compare_exchange_strong(none, &t, std::memory_order_release)) {
    none = nullptr;
    collect();  // another has one
  }
  wait_until(next + 1);  // a cycle that is under way has perhaps looked before
  trail_.store(nullptr, std::memory_order_relaxed);
  collect();  // one that has begun with it is over
}

cycle_figures collector::last() noexcept {
  const thread_lock hold(lock_);
  return last_;
}

// --- a cycle --------------------------------------------------------------------------------------------------------

void collector::sweep_all(bool rests) noexcept {
  if (HEDDLE_PLANTED(gc_marks_unswept) || HEDDLE_PLANTED(gc_frees_while_marking)) return;
  constexpr std::size_t slice = 100;  // spans: some 10 us
  std::size_t swept = 0;
  for (std::size_t k = 1, n = the_kinds.count(); k != n; ++k)
    while (the_heap.sweep_one(the_kinds[k]))
      if (rests && ++swept % slice == 0) rest();
}

/// Until nothing waits, here or at helpers.
void collector::go_through_all() noexcept {
  // Alone, if the order matters, or what is met must be looked up.
  if (marker_.leaves_trail() || marker_.pending.watching()) return marker_.drain();
  the_work_share.go_through_all([this] { return mark_a_slice(); },
                                [this] { return marker_.take() || marker_.take_aside(); });
}

/// True: nothing waits here.
bool collector::mark_a_slice() noexcept {
  // Steps: some 60 us if each object is fetched from memory, or 3.
  const std::size_t slice = is_to_rest() ? 100 : 2000;
  const nanoseconds_t begin = platform::now();
  const std::size_t before = marker_.marked_bytes();
  const bool done = marker_.drain(slice);
  the_pacer().note_marked(marker_.marked_bytes() - before, platform::now() - begin);
  marker_.offer();
  if (done || !is_to_rest()) return done;
  marker_.give_all();
  rest();
  return true;
}

/// If all processors run fibers, most of the work is left to those that allocate: the kernel would take a processor
/// from them for milliseconds. Not in a young cycle: that takes about one, and what is made meanwhile becomes old.
bool collector::is_to_rest() noexcept {
  return !is_young_ && heddle::detail::processors_busy() && !requests_.is_urgent() && !the_pacer().overdrawn();
}

void collector::rest() noexcept {
  if (!is_to_rest()) return;
  const timespec some{0, 300'000};
  ::nanosleep(&some, nullptr);
}

/// Takes the addresses that mutators have told of, and marks them. True: one was new.
bool collector::empty_buffers(std::uint8_t armed) noexcept {
  the_mutators.for_each_excluded(armed, [](mutator& m) { mutators::hand_over(m); });
  const std::size_t before = marked();
  mutators::for_each_full([this](shade_buffer& b) { marker_.visit_all(b); });
  go_through_all();
  return marked() != before;
}

/// Until nothing is left. Ephemerons come when all else is marked.
void collector::mark_all(cycle_figures& c) noexcept {
  go_through_all();
  c.mark = platform::now();
  if (HEDDLE_PLANTED(gc_one_round_only)) return (void)(the_weak_cells.decide(), empty_buffers(armed_bits::marking));
  for (;;) {
    do ++c.rounds;
    while (empty_buffers(armed_bits::marking));
    if (marker_.pending.empty() || marker_.pending.watching()) {
      the_weak_cells.decide();
      ++c.rounds;
      if (HEDDLE_PLANTED(gc_decided_early)) the_weak_cells.decided();
      if (!empty_buffers(armed_bits::marking) || HEDDLE_PLANTED(gc_last_round_believed)) return;
      the_weak_cells.decided();
    } else {
      marker_.go_through_ephemerons();
    }
  }
}

/// A cycle that begins after the call of look_next() sees what that has stored.
bool collector::is_to_look(bool young) noexcept {
  if (marker_.leaves_trail() || young) return false;
  return look_.exchange(false, std::memory_order_seq_cst) || the_options().leaks;  // seq_cst: after begin_cycle()
}

/// While stacks are being scanned: marks all that can be reached from what has been, and from destructors that are due.
void collector::reach_all() noexcept {
  the_endings().visit_roots(marker_);
  go_through_all();
  if (HEDDLE_PLANTED(gc_reaches_without_buffers)) return;
  for (;;) {
    while (empty_buffers(armed_bits::marking | armed_bits::inserting)) {
    }
    if (marker_.pending.empty() || marker_.pending.watching()) return;
    marker_.go_through_ephemerons();
  }
}

/// The marks are final. A fault in them means that a living object is about to be freed: the program cannot go on.
void collector::check(const cycle_figures& c) noexcept {
  constexpr std::size_t one_in = 1000;
  const missed_mark m = check_marks(the_options().check ? 1 : one_in, c.number, c.young);
  if (m.of == nullptr) return;
  report_missed(m);
  std::abort();
}

/// Marks the young objects whose addresses old objects have got since the last cycle.
void collector::look_at_old() noexcept {
  if (HEDDLE_PLANTED(gc_cards_taken_late)) take_cards();
  const nanoseconds_t begin = platform::now();
  const std::size_t before = marker_.marked_bytes();
  look_at_old_objects(marker_);
  the_pacer().note_marked(marker_.marked_bytes() - before, platform::now() - begin);
}

/// A cycle that begins after the call of whole_next() sees what that has stored.
bool collector::is_to_be_young(bool generational, const trail* t) noexcept {
  const std::uint8_t asked = asked_.exchange(0, std::memory_order_seq_cst);  // seq_cst: after begin_cycle()
  if (!generational || !marks_stay_ || !stores_are_noted_ || t != nullptr || (asked & asks_whole) != 0) return false;
  return (asked & asks_young) != 0 || the_pacer().is_young_due();
}

void collector::cycle() noexcept {
  sweep_all(false);
  cycle_figures c;
  c.number = requests_.begin_cycle();
  c.began = platform::now();
  const nanoseconds_t cpu = cpu_time();
  marker_.begin();
  helped_.store(0, std::memory_order_relaxed);
  const bool generational = is_generational() && the_cards.has_begun();
  trail* const t = trail_.load(std::memory_order_relaxed);
  c.young = is_young_ = is_to_be_young(generational, t);
  if (marks_stay_ && !c.young && !HEDDLE_PLANTED(gc_whole_leaves_marks)) the_regions.clear_marks();
  the_mutators.note_stores(generational);
  the_pacer().begin_cycle(c.young);
  the_heap.begin_marking(generational);
  if (marks_stay_ && !HEDDLE_PLANTED(gc_cards_taken_late)) take_cards();
  the_mutators.for_each_excluded(armed_bits::marking | armed_bits::inserting, [](mutator& m) {
    m.blocks.blacken();
    if (!HEDDLE_PLANTED(gc_told_stay)) m.told.clear();
  });
  marker_.leave_trail(t);
  if (HEDDLE_PLANTED(gc_inserts_until_roots)) the_mutators.for_each_excluded(armed_bits::marking, [](mutator&) {});
  leak_search leaks(*this);
  const bool looks = is_to_look(c.young);
  const standing_fibers standing = !generational || !the_options().watch ? standing_fibers::scanned
                                   : c.young                             ? standing_fibers::passed_over
                                                                         : standing_fibers::frozen;
  c.passed_over = visit_roots(marker_, looks ? &leaks : nullptr, standing, the_options().check);
  marker_.reach_from("a destructor that is due");
  the_endings().visit_roots(marker_);
  // Each stack has been scanned: what it holds is marked, or was read out of an object since. From now on it is enough
  // that values which are overwritten are told of.
  the_mutators.for_each_excluded(armed_bits::marking, [](mutator&) {});
  c.roots = platform::now();
  if (c.young)
    look_at_old();
  else if (generational)
    forget_cards();
  mark_all(c);
  the_weak_cells.clear_dead(marker_);
  the_endings().find_dead(marker_);
  c.cpu = cpu_time() - cpu;
  check(c);
  marker_.leave_trail(nullptr);
  the_pacer().end_marking(generational);
  marks_stay_ = generational;
  // Where the next cycle is a whole one, stores need not be noted until it begins.
  stores_are_noted_ = generational && (the_pacer().is_young_due() || notes_always_.load(std::memory_order_relaxed));
  the_mutators.note_stores(stores_are_noted_);
  the_heap.begin_sweep(c.young, generational);
  the_mutators.for_each_excluded(0, [](mutator& m) {
    if (!HEDDLE_PLANTED(gc_caches_not_flushed)) m.blocks.flush();
    the_pacer().note(std::exchange(m.taken, 0), 0);
    mutators::forget_told(m);
  });
  mutators::for_each_full([](shade_buffer&) {});  // told of when the marks were final: the next cycle would keep it
  the_weak_cells.decided();
  c.finish = platform::now();
  the_finisher.wake();
  marker_.trim();
  sweep_all(true);
  c.sweep = platform::now();
  c.marked = marked();
  c.live = the_heap.live();
  if (looks) leaks.end();
  report(c);
}

void collector::report(const cycle_figures& c) noexcept {
  if (the_options().trace)
    std::fprintf(stderr,
                 "gc %llu: %sroots %.3f ms (%zu passed over), mark %.3f ms, finish %.3f ms (%u rounds), sweep %.3f ms, "
                 "marked %zu (%zu by "
                 "others), live "
                 "%.1f MiB, goal %.1f MiB, heap %.1f MiB\n",
                 static_cast<unsigned long long>(c.number), c.young ? "young, " : "",
                 static_cast<double>(c.roots - c.began) / 1e6, c.passed_over,
                 static_cast<double>(c.mark - c.roots) / 1e6, static_cast<double>(c.finish - c.mark) / 1e6, c.rounds,
                 static_cast<double>(c.sweep - c.finish) / 1e6, c.marked, helped_.load(std::memory_order_relaxed),
                 static_cast<double>(c.live) / (1 << 20), static_cast<double>(the_pacer().goal()) / (1 << 20),
                 static_cast<double>(the_heap.in_spans()) / (1 << 20));
  const thread_lock hold(lock_);
  last_ = c;
  totals_.live = c.live;
  totals_.young += c.young ? 1 : 0;
  totals_.mark_cpu += c.cpu;
  totals_.passed_over += c.passed_over;
}

}  // namespace heddle::gc::detail
