// SPDX-License-Identifier: BSL-1.0
//
// How a collector's thread scans the stacks of fibers; scan_mark.hpp says how it keeps apart from the machines.
//
// When is a scan over? A pass over all blocks may miss a fiber that an unscanned one makes behind it, before it ends
// itself. So machines count when they resume one that has not been scanned; a pass is the last one if no machine ran
// such a fiber when it began, none has resumed one since, and it has left none.
#include "heddle/detail/fiber_roots.hpp"

#include <algorithm>
#include <array>

#include "fiber_frames.hpp"
#include "fiber_scan.hpp"
#include "fiber_waits.hpp"
#include "heddle/detail/bounded_wait.hpp"
#include "scheduler.hpp"
#include "standing.hpp"

namespace heddle::detail {

constinit atomic<std::uint8_t> scan_epoch{0};
constinit atomic<bool> scanning{false};

namespace {

/// Turns of unscanned fibers, and fibers made by unscanned threads, while a scan was on.
constinit atomic<std::uint32_t> unscanned_turns{0};
/// Changes when a hold ends for which a machine may wait.
constinit atomic<std::uint32_t> holds_ended{0};
constinit atomic<std::uint32_t> hold_waiters{0};

/// In a child: the stack that a fiber stood on when it forked. It stays.
constinit const stack* forked_on = nullptr;

#if defined(HEDDLE_MODEL) && HEDDLE_MODEL
constinit std::atomic<std::uint8_t> thread_mark{0};
#else
constinit thread_local std::atomic<std::uint8_t> thread_mark{0};
#endif
/// Set in a thread's mark: a collector knows the thread.
constexpr std::uint8_t known = 1;

/// Waits until has_ended(), which tell_waiters() follows.
template <class F>
void await_hold(F has_ended) noexcept {
  for (int i = 0; i != 64; ++i) {
    if (has_ended()) return;
    platform::cpu_relax();
  }
  hold_waiters.fetch_add(1, std::memory_order_seq_cst);  // seq_cst: before the looks; other half in tell_waiters()
  for (;;) {
    const std::uint32_t seen = holds_ended.load(std::memory_order_seq_cst);  // seq_cst: before the look
    if (has_ended()) break;
    platform::futex_wait(holds_ended, seen);
  }
  hold_waiters.fetch_sub(1, std::memory_order_relaxed);
}

}  // namespace

void tell_waiters() noexcept {
  holds_ended.fetch_add(1, std::memory_order_seq_cst);  // seq_cst: after the hold has ended, before the look
  if (hold_waiters.load(std::memory_order_seq_cst) != 0) platform::futex_wake(holds_ended, 1U << 30);
}

// --- machines and threads -------------------------------------------------------------------------------------

[[gnu::noinline]] void resume_unscanned(machine& m, fiber& f) noexcept {
  // acquire: so that a scan that has set it is seen to be on; release half in fiber_roots().
  const std::uint8_t epoch = scan_epoch.load(std::memory_order_acquire);
  if (!scanning.load(std::memory_order_relaxed)) return f.mark.settle(epoch);
  if (!f.mark.try_resume()) {
    m.awaited.store(&f, std::memory_order_release);  // release: the collector may count on it; acquire half there
    on_home_stack([&f] { await_hold([&f] { return f.mark.try_resume(); }); });
    m.awaited.store(nullptr, std::memory_order_relaxed);
  }
  if (f.mark.epoch() == epoch) return;
  touch(f, epoch);
  unscanned_turns.fetch_add(1, std::memory_order_seq_cst);  // seq_cst: before the fiber makes others; other half in
                                                            // scan_suspended()
}

void await_scan(const fiber& f) noexcept {
  if (f.mark.hold() != scan_hold::scanned || !scanning.load(std::memory_order_relaxed)) return;
  on_home_stack([&f] { await_hold([&f] { return f.mark.hold() != scan_hold::scanned; }); });
}

std::uint8_t mark_of_thread() noexcept {
  // acquire: as in resume_unscanned().
  const std::uint8_t epoch = scan_epoch.load(std::memory_order_acquire);
  if (!scanning.load(std::memory_order_relaxed)) return epoch;
  const std::uint8_t mark = thread_mark.load(std::memory_order_relaxed);
  if (mark == (epoch | known)) return epoch;
  // An unknown thread has no addresses that it could pass on.
  if (mark != 0) unscanned_turns.fetch_add(1, std::memory_order_seq_cst);  // seq_cst: as in resume_unscanned()
  return 0;
}

void forget_scan(const fiber* forking) noexcept {
  scanning.store(false, std::memory_order_relaxed);
  hold_waiters.store(0, std::memory_order_relaxed);
  if (forking != nullptr) forked_on = forking->memory;
  standing_notes::instance().forget();
}

[[gnu::noinline]] std::atomic<std::uint8_t>& thread_scan_mark() noexcept { return thread_mark; }

namespace {

/// Waits until each machine has been seen to have left what it was leaving; false if one takes too long: it may wait
/// for something that a machine has which waits for us.
bool await_departures(scheduler& s, const fiber* awaited) noexcept {
  constexpr nanoseconds_t patience = 2'000'000;
  const nanoseconds_t until = platform::now() + patience;
  for (machine* m = s.machines(); m != nullptr; m = m->made_before) {
    // acquire, all: so that the context of the fiber that it has left is seen; release halves in leave(),
    // machine_main() and resume_unscanned().
    const auto quiet = [&] {
      return m->inside.load(std::memory_order_acquire) == 0 || m->at_home.load(std::memory_order_acquire) ||
             (awaited != nullptr && m->awaited.load(std::memory_order_acquire) == awaited);
    };
    for (unsigned looks = 0; !quiet(); ++looks) {
      if (platform::now() >= until) return false;
      looks < 64 ? platform::cpu_relax() : platform::yield_thread();
    }
  }
  return true;
}

}  // namespace

bool on_stack_of_fiber(const void* p) noexcept {
  const machine* const m = this_machine();
  if (m == nullptr || m->current == nullptr) return false;
  const stack& s = *m->current->memory;
  return static_cast<const char*>(p) >= s.bottom && static_cast<const char*>(p) < s.bottom + s.size;
}

interrupted what_is_interrupted(std::uintptr_t stack_pointer) noexcept {
  const machine* const m = this_machine();
  if (m == nullptr) return {interrupted_kind::plain_thread, nullptr, nullptr};
  if (m->at_home.load(std::memory_order_relaxed)) return {interrupted_kind::idle, nullptr, nullptr};
  fiber* const f = m->current;
  if (m->is_inside() || f == nullptr) return {interrupted_kind::busy, nullptr, nullptr};
  const stack* const s = f->memory;
  const auto bottom = reinterpret_cast<std::uintptr_t>(s->bottom);
  if (stack_pointer < bottom || stack_pointer > bottom + s->size) return {interrupted_kind::busy, nullptr, nullptr};
  sanitizer_show(*f);
  return {interrupted_kind::fiber, f, m->exceptions->caught};
}

void visit_interrupted_fiber(word_visitor& v, fiber& f, std::uintptr_t stack_pointer) noexcept {
  visit_frames(v, f.memory, reinterpret_cast<const char*>(stack_pointer) - red_zone);
  visit_closure(v, f);
}

bool visit_forked_stack(word_visitor& v, std::uintptr_t stack_pointer) noexcept {
  const auto holds = [stack_pointer](const stack& s) {
    return stack_pointer - reinterpret_cast<std::uintptr_t>(s.bottom) <= s.size;
  };
  const stack* s = forked_on;
  while (s != nullptr && !holds(*s)) s = s->limit != nullptr ? s->next : nullptr;
  if (s != nullptr) visit_frames(v, s, reinterpret_cast<const char*>(stack_pointer) - red_zone);
  return s != nullptr;
}

// --- the scan -------------------------------------------------------------------------------------------------

struct fiber_roots::batch {
  std::array<fiber*, 256> fibers;
  std::size_t count = 0;
};

fiber_roots::fiber_roots(word_visitor& visitor, standing_fibers s, bool verifies) noexcept
    : visitor_(visitor),
      standing_(s),
      verifies_(verifies),
      epoch_(scan_mark::after(scan_epoch.load(std::memory_order_relaxed))) {
  fiber_pool::instance().begin_walk();
  scanning.store(true, std::memory_order_relaxed);
  scan_epoch.store(epoch_, std::memory_order_release);  // release: so that who sees it sees that a scan is on
  platform::heavy_barrier();  // who compares a mark from now on sees the epoch; light half in equals()
  standing_notes& notes = standing_notes::instance();
  notes.quiet = {};
  notes.stacks.clear();
  if (!verifies_ || standing_ == standing_fibers::scanned) notes.contents.clear();
  if (standing_ == standing_fibers::scanned || notes.last_still < standing_notes::least) return;
  const visit runtime;
  notes.stacks.begin(runtime ? runtime.operator->() : nullptr);
  freezes_ = notes.stacks.any();
}

/// If fibers are to be frozen, the epoch of the scan ends with it: a mark that still says it is of one that has not
/// been resumed since.
fiber_roots::~fiber_roots() {
  standing_notes& notes = standing_notes::instance();
  notes.last_epoch = standing_ == standing_fibers::scanned ? std::uint8_t{0} : epoch_;
  notes.last_still = still_;
  scanning.store(false, std::memory_order_relaxed);
  // release: so that who sees it sees that no scan is on; acquire half in resume_unscanned().
  if (notes.last_epoch != 0) scan_epoch.store(scan_mark::after(epoch_), std::memory_order_release);
  fiber_pool::instance().end_walk();
}

bool fiber_roots::is_scanned(const fiber& f) const noexcept { return f.mark.epoch() == epoch_; }

void fiber_roots::mark_thread(std::atomic<std::uint8_t>& mark) const noexcept {
  mark.store(epoch_ | known, std::memory_order_relaxed);
}
bool fiber_roots::is_marked(const std::atomic<std::uint8_t>& mark) const noexcept {
  return mark.load(std::memory_order_relaxed) == (epoch_ | known);
}

/// Whatever the machine writes meanwhile: a plain store, since it is on the way of each switch.
[[gnu::no_sanitize_thread]] static const fiber* current_of(const machine& m) noexcept {
  return __atomic_load_n(&m.current, __ATOMIC_RELAXED);
}

void fiber_roots::for_each_running(void (*f)(void*, int), void* argument) noexcept {
  const visit runtime;
  if (!runtime) return;
  for (const machine* m = runtime->machines(); m != nullptr; m = m->made_before) {
    const fiber* const now = current_of(*m);
    fiber_pool::instance().see_built();
    const int thread = m->thread_number.load(std::memory_order_relaxed);
    if (now != nullptr && thread != 0 && !is_scanned(*now)) f(argument, thread);
  }
}

bool fiber_roots::nothing_unscanned_runs() noexcept {
  bool nothing = true;
  for_each_running([](void* to, int) { *static_cast<bool*>(to) = false; }, &nothing);
  return nothing;
}

void fiber_roots::mark_scanned(fiber& f) noexcept {
  f.mark.settle(epoch_);
  ++scanned_;
}

/// Of a suspended one that is held.
inline bool fiber_roots::puts_off(const fiber& f) noexcept {
  const void* const place = judge_ != nullptr ? waits_unreached(f, *judge_) : nullptr;
  if (place == nullptr) return false;
  ++put_off_;
  judge_->note_put_off(f, place);
  return true;
}

/// Of one that is held. Whether it is frozen from now on.
inline bool fiber_roots::read(fiber& f, bool suspended, bool ended) noexcept {
  bool freezes = false;
  if (suspended) {
    if (f.mark.is_frozen() || has_stood_still(f)) ++still_;
    freezes = is_to_be_frozen(f);
    if (freezes) visitor_.wants_again();
    visit_stack(visitor_, f);
    freezes = freezes && !visitor_.wants_again();
    if (verifies_ && freezes) standing_notes::instance().note_contents(f);
  }
  ended ? visit_result(visitor_, f) : visit_closure(visitor_, f);
  return freezes;
}

bool fiber_roots::scan(batch& b, bool firmly) noexcept {
  if (b.count == 0) return true;
  std::array<where, std::tuple_size_v<decltype(b.fibers)>> found;
  for (std::size_t i = 0; i != b.count; ++i) b.fibers[i]->mark.claim(firmly ? scan_hold::firm : scan_hold::claimed);
  if (!HEDDLE_PLANTED(claims_without_barrier))
    platform::heavy_barrier();  // the claims before the looks; light half in equals()
  for (std::size_t i = 0; i != b.count; ++i) found[i] = look(*b.fibers[i]);
  const visit runtime;  // so that the machines stay
  const bool departed = !runtime || HEDDLE_PLANTED(departures_not_awaited) ||
                        await_departures(*runtime.operator->(), firmly ? b.fibers[0] : nullptr);
  if (freezes_ && !HEDDLE_PLANTED(protected_when_read)) protect(b.fibers.data(), b.count);
  bool all = true;
  for (std::size_t i = 0; i != b.count; ++i) {
    fiber& f = *b.fibers[i];
    const where at = found[i];
    const bool usable = at == where::fresh || at == where::ended || (at == where::suspended && departed) ||
                        HEDDLE_PLANTED(scans_whatever_it_does);
    if (usable && f.mark.begin()) {
      if (at == where::suspended && puts_off(f)) {
        f.mark.let_go();
        continue;
      }
      const bool freezes = read(f, at == where::suspended, at == where::ended);
      if (freezes && HEDDLE_PLANTED(protected_when_read)) protect(&b.fibers[i], 1);
      f.mark.end(epoch_, freezes);
      ++scanned_;
    } else {
      f.mark.let_go();
      all &= at == where::nowhere;
    }
  }
  b.count = 0;
  tell_waiters();
  return all;
}

/// A block, which may be free.
inline fiber_roots::outcome fiber_roots::consider(fiber& f, batch& b, bool firmly) noexcept {
  if (is_scanned(f)) return outcome::done;
  const where at = look(f);
  if (at == where::nowhere) return outcome::done;
  if (at == where::running) return outcome::left;
  if (at == where::suspended && passes_over(f)) return outcome::passed_over;
  b.fibers[b.count++] = &f;
  const bool is_due = firmly || b.count == b.fibers.size();
  return !is_due || scan(b, firmly) ? outcome::done : outcome::left;
}

/// By pages: one whose fibers have all been passed over is passed over itself from then on.
bool fiber_roots::scan_slab(fiber* fibers, std::size_t used, bool is_full, batch& b, bool firmly) noexcept {
  bool all = true;
  const std::uint64_t quiet = first_pass_ ? 0 : standing_notes::instance().quiet.of(fibers);
  std::uint64_t now_quiet = 0;
  for (std::size_t i = 0; i < used;) {
    const std::size_t page = quiet_pages::page_of(i);
    const std::size_t next = quiet_pages::first_in(page + 1);
    const std::size_t end = std::min(used, next);
    if ((quiet >> page & 1) != 0 && !quiet_pages::is_touched(fibers + i, epoch_)) {
      i = end;
      continue;
    }
    bool none_else = end == next || is_full;  // none is built there later
    for (; i != end; ++i) {
      const outcome o = consider(fibers[i], b, firmly);
      all &= o != outcome::left;
      none_else &= o == outcome::passed_over;
    }
    now_quiet |= std::uint64_t{none_else} << page;
  }
  if (first_pass_) standing_notes::instance().quiet.note(fibers, now_quiet);
  return all;
}

bool fiber_roots::scan_suspended(bool firmly) noexcept {
  turns_ = unscanned_turns.load(std::memory_order_seq_cst);  // seq_cst: before the looks below
  put_off_ = 0;
  platform::heavy_barrier();  // what machines run is seen, or their comparison sees the epoch; light half in equals()
  bool all = nothing_unscanned_runs();
  batch b;
  standing_notes::instance().quiet.rewind();
  std::array<fiber_pool::slab, 64> slabs;
  const fiber* last = nullptr;
  while (const std::size_t n = fiber_pool::instance().slabs_after(last, slabs.data(), slabs.size())) {
    for (std::size_t i = 0; i != n; ++i)
      all &= scan_slab(slabs[i].fibers, slabs[i].used, slabs[i].used == slabs[i].size, b, firmly);
    last = slabs[n - 1].fibers;
  }
  all &= scan(b, firmly);
  first_pass_ = false;
  // seq_cst: after all looks. Other half in resume_unscanned(): seq_cst, before the fiber makes others.
  return all && unscanned_turns.load(std::memory_order_seq_cst) == turns_;
}

}  // namespace heddle::detail
