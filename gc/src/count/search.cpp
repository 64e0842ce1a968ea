// SPDX-License-Identifier: BSL-1.0
#include "count/search.hpp"

#include <algorithm>

#include "count/endings.hpp"
#include "count/trial.hpp"
#include "count/weak_table.hpp"

namespace heddle::gc::detail {

namespace platform = heddle::detail::platform;
using heddle::detail::nanoseconds_t;
using heddle::detail::thread_lock;

constinit search the_search;

namespace {

/// In the local word of an object that a search has found dead, until it is destroyed.
constexpr std::uint32_t condemned = local_bits::merged | local_bits::noted | local_bits::one;

bool lives(const count_header& h) noexcept {
  // acquire: so that what the constructor has written is seen; release half in publish().
  return h.local.load(std::memory_order_acquire) != 0 &&
         (h.shared.load(std::memory_order_relaxed) & shared_bits::dead) == 0;
}

/// The candidate is not one any more.
void clear_note(count_header& h) noexcept {
  h.local.store(h.local.load(std::memory_order_relaxed) & ~local_bits::noted, std::memory_order_relaxed);
  h.shared.store(h.shared.load(std::memory_order_relaxed) & ~shared_bits::noted, std::memory_order_relaxed);
}

/// All references to h are pointers in garbage. It gets one more, which is whoever destroys it.
void condemn(count_header& h, std::int32_t references) noexcept {
  const std::uint32_t old = h.shared.load(std::memory_order_relaxed);
  if ((old & shared_bits::weak) != 0 && !HEDDLE_PLANTED(count_condemned_locked)) the_weak_table.silence(h);
  h.local.store(condemned, std::memory_order_relaxed);
  h.shared.store((old & shared_bits::weak) | shared_bits::merged |
                     static_cast<std::uint32_t>(references + 1) << shared_bits::shift,
                 std::memory_order_relaxed);
}

/// The header at the end of a candidate's address, if there is an object: it may have died, and others lie there now.
count_header* still_there(count_header* h) noexcept {
  count_header* const now = living_header_around(object_of(h));
  return now == h && span_around(h).of->slot_count != 0 ? h : nullptr;
}

template <class F>
void for_each_candidate(F f) noexcept {
  the_ledgers.for_each([&](count_ledger& l) {
    for (std::size_t i = 0; i != l.candidates.count(); ++i)
      if (count_header* const h = still_there(l.candidates[i]); h != nullptr) f(*h);
  });
}

}  // namespace

count_header* living_header_around(const void* p) noexcept {
  const kind* k = nullptr;
  char* const start = the_regions.counted_block_around(p, k);
  if (start == nullptr) return nullptr;
  count_header* const h = header_at(*k, start);
  return p >= static_cast<void*>(h) && lives(*h) ? h : nullptr;
}

bool search::run(header_list& found) noexcept {
  the_mutators.stop_all();
  const nanoseconds_t began = platform::now();
  trial t;
  bool enough = true;
  for_each_candidate([&](count_header& h) { enough = enough && t.admit(h); });
  enough = enough && t.decide() && found.reserve(found.count() + t.dead());
  for_each_candidate(clear_note);
  the_ledgers.for_each([&](count_ledger& l) {
    if (!enough) figures_.forgotten += l.candidates.count();
    l.candidates.clear();
  });
  if (enough)
    t.for_each_dead([&](count_header& h, std::int32_t references) {
      condemn(h, references);
      static_cast<void>(found.push(&h));  // there is room
    });
  ++figures_.searches;
  figures_.visited += t.visited();
  figures_.found += enough ? t.dead() : 0;
  figures_.longest = std::max(figures_.longest, platform::now() - began);
  the_mutators.go_on();
  pace(t.visited(), t.dead());
  return enough;
}

/// A search that goes through much and finds little is not repeated soon.
void search::pace(std::size_t visited, std::size_t found) noexcept {
  const std::size_t now = wanted();
  const bool was_worth_it = found >= visited / 4;
  wanted_.store(was_worth_it ? std::max(now / 2, least_wanted) : std::min(now * 2, count_ledger::most_candidates / 2),
                std::memory_order_relaxed);
}

void search::destroy(header_list& found) noexcept {
  constexpr std::size_t at_once = 256;
  begin_here();
  for (std::size_t i = 0; i < found.count(); i += at_once) {
    const critical_call inside;
    ended none;  // each object has one more reference
    for (std::size_t k = i; k != std::min(found.count(), i + at_once); ++k)
      for_each_count_slot(*found[k], span_around(found[k]), [&](count_slot& slot) {
        const std::uintptr_t word = slot.load(std::memory_order_relaxed);
        if (word == 0 || header_in(word)->local.load(std::memory_order_relaxed) != condemned) return;
        slot.store(0, std::memory_order_relaxed);
        drop_inside(*header_in(word), ledger_here(), none);
      });
  }
  for (std::size_t i = 0; i != found.count(); ++i) drop_slowly(*found[i]);
  found.clear();
}

// --- in the background
// ------------------------------------------------------------------------------------------------

void search::heed_candidates() noexcept {
  begin_here();
  bool is_full = false;
  {
    const critical_call inside;
    is_full = ledger_here().is_full();
  }
  if (is_full) {
    header_list found;
    run(found);
    {
      const critical_call inside;  // so that no thread has the lock when another one forks
      const thread_lock hold(lock_);
      if (found_.count() == 0) found_.swap(found);
    }
    if (found.count() != 0) destroy(found);  // the background is behind
    found.free();
  } else if (due_.load(std::memory_order_relaxed)) {
    return;
  }
  due_.store(true, std::memory_order_relaxed);
  if (void (*const wake)() noexcept = wake_.load(std::memory_order_relaxed); wake != nullptr) wake();
}

bool search::take_found(header_list& to) noexcept {
  const critical_call inside;
  const thread_lock hold(lock_);
  to.swap(found_);
  return to.count() != 0;
}

bool search::is_due() noexcept {
  if (due_.load(std::memory_order_seq_cst)) return true;  // seq_cst: see at_work::run()
  const critical_call inside;
  const thread_lock hold(lock_);
  return found_.count() != 0;
}

bool search::run_one() noexcept {
  header_list found;
  const bool is_wanted = due_.exchange(false, std::memory_order_seq_cst);  // seq_cst: as in is_due()
  const bool is_left = take_found(found);
  if (!is_left && is_wanted) run(found);
  destroy(found);
  found.free();
  return is_left || is_wanted;
}

search_figures search::figures() noexcept {
  the_mutators.stop_all();
  search_figures now = figures_;
  the_ledgers.for_each([&](const count_ledger& l) {
    now.candidates += l.candidates.count();
    now.forgotten += l.forgotten;
  });
  the_mutators.go_on();
  return now;
}

}  // namespace heddle::gc::detail
