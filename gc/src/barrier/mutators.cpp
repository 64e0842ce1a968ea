// SPDX-License-Identifier: BSL-1.0
#include "barrier/mutators.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <new>

#include "barrier/handover.hpp"
#include "barrier/thread_end.hpp"
#include "barrier/waits.hpp"
#include "heap/immortal.hpp"
#include "heddle/detail/collected_pages.hpp"
#include "heddle/detail/fiber_roots.hpp"

namespace heddle::gc::detail {

namespace platform = heddle::detail::platform;
using heddle::detail::thread_lock;

constinit mutators the_mutators;
constinit std::array<wait_histogram, wait_causes> the_waits;

namespace {

/// Full buffers on their way to the marker, from which on a mutator looks itself what is marked: 64 KiB of them.
constexpr std::size_t enough_queued = 16;

#if defined(HEDDLE_MODEL) && HEDDLE_MODEL
constexpr unsigned spins = 1;
void sleep_briefly() noexcept { platform::yield_thread(); }
#else
constexpr unsigned spins = 200;
void sleep_briefly() noexcept {
  const timespec some{0, 20'000};
  ::nanosleep(&some, nullptr);
}
#endif

/// Set before the first thread is told to call it.
constinit mutators::slot_watch watch_of_slots = nullptr;

handover<shade_buffer>& full_buffers() noexcept {
  static immortal<handover<shade_buffer>> e;
  return e.value;
}
handover<shade_buffer>& empty_buffers() noexcept {
  static immortal<handover<shade_buffer>> e;
  return e.value;
}

shade_buffer* get_empty() noexcept {
  if (shade_buffer* const b = empty_buffers().get(); b != nullptr) return b;
  void* const memory = heddle::detail::collected_pages::make_tables(sizeof(shade_buffer));
  return memory == nullptr ? nullptr : new (memory) shade_buffer;
}

}  // namespace

void end_without_memory(const char* what) noexcept {
  std::fprintf(stderr, "heddle: out of memory: the collector cannot %s\n", what);
  std::abort();
}

// --- buffers --------------------------------------------------------------------------------------------------------

shade_buffer* mutators::take_full() noexcept { return full_buffers().get(); }

std::size_t mutators::count_queued() noexcept { return full_buffers().queued(); }
shade_buffer* mutators::take_queued() noexcept { return full_buffers().get_queued(); }
shade_buffer* mutators::take_listed() noexcept { return full_buffers().get_listed(); }

void mutators::recycle(shade_buffer& b) noexcept {
  b.count = 0;
  empty_buffers().put(b);
}

void mutators::push_new(mutator& m, const void* p) noexcept {
  if (m.shades == nullptr && (m.shades = get_empty()) == nullptr) end_without_memory("note what it must keep");
  m.shades->addresses[m.shades->count++] = p;
  if (m.shades->count != shade_buffer::capacity) return;
  // The marker is behind: what it has marked already need not wait for it.
  if (count_queued() >= enough_queued) drop_marked(*m.shades);
  if (m.shades->count > shade_buffer::capacity / 2) hand_over(m);
}

void mutators::drop_marked(shade_buffer& b) noexcept {
  constexpr std::size_t at_once = 30;  // the words of marks are fetched together
  std::array<block, at_once> of;
  std::size_t kept = 0;
  for (std::size_t i = 0; i < b.count; i += at_once) {
    const std::size_t n = std::min(at_once, b.count - i);
    for (std::size_t k = 0; k != n; ++k) {
      of[k] = the_regions.find(reinterpret_cast<std::uintptr_t>(b.addresses[i + k]));
      if (of[k]) __builtin_prefetch(&of[k].mark_word());
    }
    for (std::size_t k = 0; k != n; ++k)
      if (of[k] && !of[k].is_marked()) b.addresses[kept++] = b.addresses[i + k];
  }
  b.count = kept;
}

bool mutators::hand_over(mutator& m) noexcept {
  if (m.shades == nullptr || m.shades->count == 0) return false;
  full_buffers().put(*m.shades);
  m.shades = nullptr;
  return true;
}

// --- threads --------------------------------------------------------------------------------------------------------

mutator& mutators::begin() noexcept {
  auto* const m = new (std::nothrow) mutator;
  if (m == nullptr || !m->blocks.begin()) end_without_memory("serve another thread");
  m->state = &words();
  at_thread_end(&mutators::end, m);
  const thread_lock hold(lock_);
  m->next = first_;
  if (first_ != nullptr) first_->previous = m;
  first_ = m;
  ++count_;
  this_mutator() = m;
  m->state->notes.store(notes_, std::memory_order_relaxed);
  open(*m, armed_);
  return *m;
}

void mutators::remove(mutator& m) noexcept {
  const thread_lock hold(lock_);
  (m.previous != nullptr ? m.previous->next : first_) = m.next;
  if (m.next != nullptr) m.next->previous = m.previous;
  --count_;
}

/// The thread m ends.
void mutators::end(void* raw) noexcept {
  mutator& m = *static_cast<mutator*>(raw);
  {
    const critical_call inside;
    if (m.end_counting != nullptr) m.end_counting(m);
    hand_over(m);
    m.blocks.flush();
  }
  // Should another destructor of this thread use the heap, it begins once more.
  the_mutators.remove(m);
  this_mutator() = nullptr;
  words().armed.store(armed_bits::unknown, std::memory_order_relaxed);
  words().inserts.store(1, std::memory_order_relaxed);
  words().count_base.store(0, std::memory_order_relaxed);
  words().shelves = nullptr;
  if (m.shades != nullptr) recycle(*m.shades);
  m.blocks.end();
  delete &m;
}

// --- the collector's side -------------------------------------------------------------------------------------------

void mutators::shut(mutator& m, std::uint8_t armed) noexcept {
  m.state->armed.store(armed | armed_bits::closed, std::memory_order_relaxed);
  if (!HEDDLE_PLANTED(count_shut_keeps_base)) m.state->count_base.store(0, std::memory_order_relaxed);
}

void mutators::close(std::uint8_t next) noexcept {
  for (mutator* m = first_; m != nullptr; m = m->next) {
    shut(*m, m->state->armed.load(std::memory_order_relaxed));
    if ((next & armed_bits::inserting) != 0 && !HEDDLE_PLANTED(gc_inserts_late))
      m->state->inserts.store(1, std::memory_order_relaxed);
    m->state->notes.store(notes_, std::memory_order_relaxed);
  }
  // The stores above before the loads in await(); light half in mutator_state::enter().
  if (!HEDDLE_PLANTED(gc_closes_without_barrier)) platform::heavy_barrier();
}

void mutators::await(const mutator& m) noexcept {
  if (HEDDLE_PLANTED(gc_awaits_nobody)) return;
  // acquire: so that what the mutator did inside is seen; release half in mutator_state::leave().
  const auto order = HEDDLE_PLANTED(gc_awaits_relaxed) ? std::memory_order_relaxed : std::memory_order_acquire;
  for (unsigned i = 0; m.state->critical.load(order) != 0; ++i) i < spins ? platform::cpu_relax() : sleep_briefly();
}

void mutators::open(mutator& m, std::uint8_t armed) noexcept {
  // seq_cst and release: as below, in the wrong order.
  if (HEDDLE_PLANTED(gc_open_looks_early) && sleepers_.load(std::memory_order_seq_cst) == 0)
    return m.state->armed.store(armed, std::memory_order_release);
  // release, both: so that the mutator sees what was done to its data; acquire halves in mutator_state::enter() and
  // detail/count_words.hpp.
  m.state->count_base.store(m.count_base,
                            HEDDLE_PLANTED(gc_opens_relaxed) ? std::memory_order_relaxed : std::memory_order_release);
  m.state->armed.store(armed, HEDDLE_PLANTED(gc_opens_relaxed) ? std::memory_order_relaxed : std::memory_order_release);
  m.state->inserts.store((armed & (armed_bits::inserting | armed_bits::watched)) != 0 ? 1 : 0,
                         std::memory_order_relaxed);
  // seq_cst, both: a sleeper is counted before it looks once more, so it sees the mutator open, or is seen.
  opened_.fetch_add(1, std::memory_order_seq_cst);
  if (sleepers_.load(std::memory_order_seq_cst) != 0 && !HEDDLE_PLANTED(gc_open_wakes_nobody))
    platform::futex_wake(opened_, ~0u >> 1);
}

void mutators::begin_counting(mutator& m, count_ledger& l, std::uint32_t base, count_shelf* shelves) noexcept {
  const thread_lock hold(lock_);  // whoever closes a mutator holds it, too: this one is open
  m.ledger = &l;
  m.count_base = base;
  m.state->shelves = shelves;
  m.state->count_base.store(base, std::memory_order_relaxed);
}

mutator* mutators::find(const thread_registration& t) noexcept {
  mutator* m = first_;
  while (m != nullptr && &m->thread != &t) m = m->next;
  return m;
}

void mutators::keep_out(const thread_registration& t) noexcept {
  const thread_lock hold(lock_);
  mutator* const m = find(t);
  if (m == nullptr) return;  // it ends
  shut(*m, armed_);
  // The store above before the load below, which finds the thread inside, or it finds itself closed when it enters.
  platform::heavy_barrier();
  await(*m);
}

void mutators::let_in(const thread_registration& t) noexcept {
  const thread_lock hold(lock_);
  if (mutator* const m = find(t); m != nullptr) open(*m, armed_);
}

/// Closed threads sleep: the one that the collector waits for may need the processor.
void mutators::wait_until_open() noexcept {
  for (unsigned i = 0; i != spins; ++i) {
    if ((words().armed.load(std::memory_order_relaxed) & armed_bits::closed) == 0) return;
    platform::cpu_relax();
  }
  sleepers_.fetch_add(1, std::memory_order_seq_cst);  // seq_cst: see open()
  const std::uint32_t seen = opened_.load(std::memory_order_seq_cst);
  if ((words().armed.load(std::memory_order_seq_cst) & armed_bits::closed) != 0) platform::futex_wait(opened_, seen);
  sleepers_.fetch_sub(1, std::memory_order_relaxed);
}

void mutators::stop_all() noexcept HEDDLE_NO_THREAD_SAFETY_ANALYSIS {
  lock_.lock();
  close(armed_);
  for (mutator* m = first_; m != nullptr; m = m->next) await(*m);
}

void mutators::go_on() noexcept HEDDLE_NO_THREAD_SAFETY_ANALYSIS {
  for (mutator* m = first_; m != nullptr; m = m->next) open(*m, armed_);
  lock_.unlock();
}

void mutators::forget_others() noexcept HEDDLE_NO_THREAD_SAFETY_ANALYSIS {
  for (mutator* m = first_; m != nullptr; m = m->next) {
    if (m == this_mutator()) continue;
    // Its record stays as it is: parts of it lie in the memory of a thread that is not there.
    hand_over(*m);
    m->blocks.flush();
  }
  first_ = this_mutator();
  count_ = first_ == nullptr ? 0 : 1;
  if (first_ != nullptr) first_->next = first_->previous = nullptr;
  go_on();
}

std::uint8_t critical_call::enter_slowly() noexcept {
  words().leave();
  const timed_wait wait(wait_cause::handshake);
  for (;;) {
    const std::uint8_t bits = words().enter();
    if ((bits & (armed_bits::closed | armed_bits::unknown)) == 0) return bits;
    words().leave();
    if ((bits & armed_bits::unknown) != 0)
      the_mutators.begin();
    else
      the_mutators.wait_until_open();
  }
}

void mutators::note_stores(bool note) noexcept {
  const thread_lock hold(lock_);
  notes_ = note ? 1 : 0;
}

void mutators::watch(slot_watch w) noexcept {
  watch_of_slots = w;
  {
    const thread_lock hold(lock_);
    armed_ |= armed_bits::watched;
  }
  for_each_excluded(armed(), [](mutator&) {});
}

// --- the barrier ----------------------------------------------------------------------------------------------------

namespace {

/// Whether the slot lies on the caller's stack. The scan of that stack finds its values, or has found them.
bool on_own_stack(const mutator& m, const void* slot) noexcept {
  const auto at = reinterpret_cast<std::uintptr_t>(slot);
  const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  if (here - m.thread.stack_bottom() < m.thread.stack_top() - m.thread.stack_bottom())
    return at >= here && at < m.thread.stack_top();
  return heddle::detail::on_stack_of_fiber(slot);
}

}  // namespace

void shade(const void* p) noexcept {
  const critical_call inside;
  if (inside.inserting() && !HEDDLE_PLANTED(gc_new_not_shaded)) mutators::push(inside.self(), p);
}

/// Whether the slot lies in the frame of the function that has called the present one, or in one close above: a
/// temporary, most times. Above a fiber's stack 64 bytes are its record, and above a thread's there is more: with what
/// two calls push in between, no word of the heap is as near.
[[gnu::always_inline]] inline bool in_near_frame(const void* slot) noexcept {
  constexpr std::uintptr_t near = 96;
  return reinterpret_cast<std::uintptr_t>(slot) - reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)) < near;
}

[[gnu::noinline]] void forget_told(void** slot) noexcept {
  if (in_near_frame(slot)) return;
  const critical_call inside;
  if (!inside.marking()) return;
  const void* const old = __atomic_load_n(slot, __ATOMIC_RELAXED);
  if (old != nullptr && !on_own_stack(inside.self(), slot)) mutators::push(inside.self(), old);
}

namespace {

/// True: the store is to be looked at.
[[gnu::always_inline]] inline bool tell_and_store(void** slot, void* value) noexcept {
  const critical_call inside;
  note_store(slot);
  if (inside.marking()) {
    if (!HEDDLE_PLANTED(gc_old_not_shaded)) mutators::push(inside.self(), __atomic_load_n(slot, __ATOMIC_RELAXED));
    if (inside.inserting() && !HEDDLE_PLANTED(gc_new_not_shaded)) mutators::push(inside.self(), value);
  }
  __atomic_store_n(slot, value, __ATOMIC_RELEASE);  // release: as in store()
  return inside.watched();
}

[[gnu::always_inline]] inline bool shade_first(const void* value) noexcept {
  const critical_call inside;
  if (inside.inserting() && !HEDDLE_PLANTED(gc_new_not_shaded)) mutators::push(inside.self(), value);
  return inside.watched();
}

}  // namespace

void store_told(void** slot, void* value) noexcept {
  if (tell_and_store(slot, value)) [[unlikely]]
    watch_of_slots(slot, value, __builtin_return_address(0));
}

void store_first_told(void** slot, void* value) noexcept {
  if (shade_first(value)) [[unlikely]]
    watch_of_slots(slot, value, __builtin_return_address(0));
}

void store_root_told(void** slot, void* value) noexcept { tell_and_store(slot, value); }

}  // namespace heddle::gc::detail
