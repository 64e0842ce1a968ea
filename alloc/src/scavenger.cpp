// SPDX-License-Identifier: BSL-1.0
#include "scavenger.hpp"

#include <algorithm>
#include <bit>

#include "at_work.hpp"
#include "mcache.hpp"
#include "mcentral.hpp"
#include "mheap.hpp"
#include "misuse.hpp"
#include "options.hpp"
#include "os.hpp"
#include "process.hpp"
#include "thread_cache.hpp"

namespace heddle::detail {

constinit scavenger the_scavenger;

namespace {

constexpr std::size_t os_page = 4096;
/// In a round an eighth of the idle bytes goes back, or so many.
constexpr std::size_t least_per_round = std::size_t{32} << 20;
/// After so many rounds without work nothing waits any more. For a model one is enough.
#if defined(HEDDLE_MODEL) && HEDDLE_MODEL
constexpr std::uint32_t patience = 1;
#else
constexpr std::uint32_t patience = 12;
#endif
/// No more rounds are counted, however long a program has slept.
constexpr nanoseconds_t most_rounds = 1000;
/// The work of one part of a round.
constexpr std::size_t kept_in_a_part = 128;
constexpr std::size_t bytes_in_a_part = std::size_t{256} << 10;
/// The cost of a step of the thread: others cannot fork meanwhile.
constexpr nanoseconds_t step_in_background = 2'000'000;

// Costs in nanoseconds, as a rule.
constexpr nanoseconds_t cost_of_kept = 100, cost_of_span = 200, cost_of_tidying = 2'000, cost_of_cache = 20'000;
constexpr nanoseconds_t cost_of_release(std::size_t bytes, std::size_t runs) noexcept {
  return static_cast<nanoseconds_t>(bytes / 16 + runs * 1'000);
}

nanoseconds_t round_length() noexcept {
  return nanoseconds_t{the_options.pace_ms} * 1'000'000 / scavenger::rounds_per_pace;
}

/// Takes the blocks of these bits out of the list.
void unlink(span& s, std::uint64_t blocks) noexcept {
  free_block** link = &s.free;
  while (free_block* const b = *link) {
    const auto index = s.index_of(b);
    if (blocks >> index & 1)
      *link = b->next;
    else
      link = &b->next;
  }
}

}  // namespace

std::size_t tidy(span& s) noexcept {
  s.tidied = true;
  if (!s.has_bits()) return 0;  // hardly ever a page without a block
  std::uint64_t listed = 0;
  for (const free_block* b = s.free; b != nullptr; b = b->next) {
    if (b->next != nullptr && !s.may_link_to(b->next)) broken_link(b, s);
    const std::uint64_t bit = std::uint64_t{1} << s.index_of(b);
    if ((listed & bit) != 0) damaged("it is in the list of free blocks twice, so it was freed twice", b, &s);
    listed |= bit;
  }
  const std::uint64_t idle = listed | s.fresh;
  std::size_t released = 0;
  for (unsigned first = 0; first < s.capacity;) {
    const auto run = static_cast<unsigned>(std::countr_one(idle >> first));
    if (run == 0) {
      first += static_cast<unsigned>(std::countr_zero(idle >> first));
      if (idle >> first == 0) break;
      continue;
    }
    const unsigned last = std::min<unsigned>(first + run, s.capacity);
    const std::uint64_t bits = (run >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << run) - 1) << first;
    const std::size_t from = (first * s.size + os_page - 1) / os_page * os_page;
    const std::size_t to = (last == s.capacity ? s.bytes() : last * s.size) / os_page * os_page;
    if (to > from && (bits & listed) != 0) {
      if (!HEDDLE_PLANTED(tidied_stay_free)) unlink(s, bits);
      s.fresh |= bits;
      if (os::drop(s.start + from, to - from)) released += to - from;
    }
    if (last == s.capacity) break;
    first = last;
  }
  return released;
}

// --- memory waits ----------------------------------------------------------------------------------------------------

void scavenger::notice() noexcept {
  if (the_options.scavenger == scavenging::off) return;
  noticed_.store(true, std::memory_order_relaxed);
  // release: so that the thread that takes `waits_` away sees `noticed_`; acquire half in end_round().
  waits_.store(true, std::memory_order_release);
}

void scavenger::notice_sparse(std::size_t bytes) noexcept {
  const std::size_t before = sparse_.fetch_add(bytes, std::memory_order_relaxed);
  const std::size_t settled = settled_.load(std::memory_order_relaxed);
  notice_idle(before > settled ? before - settled : 0);
}

// --- steps -----------------------------------------------------------------------------------------------------------

const void* scavenger::this_thread() noexcept {
#if defined(HEDDLE_MODEL) && HEDDLE_MODEL  // whose threads are all of one kernel thread
  return platform::this_thread_mark();
#else
  return &this_mcache;
#endif
}

bool scavenger::try_to_step() noexcept {
  const void* nobody = nullptr;
  // acquire: as below; it is the mistake that the explorer must find.
  if (HEDDLE_PLANTED(two_step) && stepping_.load(std::memory_order_acquire) != nullptr) return true;
  // acquire: so that the work of the last thread is seen; release half in stop_stepping().
  constexpr std::memory_order order = std::memory_order_acquire;
  return stepping_.compare_exchange_strong(nobody, this_thread(),
                                           HEDDLE_PLANTED(steps_without_acquire) ? std::memory_order_relaxed : order,
                                           std::memory_order_relaxed);
}

void scavenger::wait_to_step() noexcept {
  constexpr unsigned patient = 16;
  constexpr nanoseconds_t nap = 100'000;
  // A real-time thread may wait for one of the normal class, which steps: that one runs only while this one sleeps.
  for (unsigned n = 0; !try_to_step(); ++n)
    n < patient ? platform::yield_thread() : platform::futex_wait(never_changes_, 0, platform::now() + nap);
}

void scavenger::stop_stepping() noexcept {
  // release: so that the next thread sees the work of this one; acquire half in try_to_step().
  stepping_.store(nullptr, HEDDLE_PLANTED(step_left_relaxed) ? std::memory_order_relaxed : std::memory_order_release);
}

void scavenger::begin_waiting(nanoseconds_t now) noexcept {
  resting_ = false;
  idle_rounds_ = 0;
  round_at_ = now;
  pace_.begin(now, now + round_length());
}

void scavenger::attend(const void* caller) noexcept {
  const nanoseconds_t now = process::coarse_now();
  const nanoseconds_t most = pace_.come_by(now);
  if (most == 0 && !the_scavenger_thread.may_start(now)) return;
  const os::errno_kept keep;
  // Around a fork nothing is done, nor in a handler that has interrupted a call.
  if (const at_work here; !here) return;
  if (the_scavenger_thread.start(caller, now) || most == 0) return;  // which allocates, so nobody is at work here
  const at_work here;
  if (!here || !try_to_step()) return;
  resting_ ? begin_waiting(now) : void(go_on(now, most));
  stop_stepping();
  if (waits_for_calls() && this_mcache != &nobodys_mcache) this_mcache->watch_calls();
}

void scavenger::work_in_background(std::uint32_t number) noexcept {
  for (bool resting = false; !resting;) {
    const nanoseconds_t now = platform::now();
    wait_to_step();
    if (resting_) begin_waiting(now);
    const nanoseconds_t next = std::max(round_at_ + round_length(), now);
    stop_stepping();
    if (!the_scavenger_thread.sleep(number, next)) return;
    for (bool over = false; !over && !the_scavenger_thread.shall_end(number);) {
      const at_work here(at_work::patience::endless);
      wait_to_step();
      over = go_on(next, step_in_background);
      resting = resting_;
      stop_stepping();
    }
  }
  the_scavenger_thread.retire(number);
}

void scavenger::forked() noexcept {
  if (stepping_.load(std::memory_order_relaxed) != this_thread()) stepping_.store(nullptr, std::memory_order_relaxed);
}

// --- a round ---------------------------------------------------------------------------------------------------------

/// Goes on with the round, and begins the next if it is time for that. True: it is over.
bool scavenger::go_on(nanoseconds_t now, nanoseconds_t most) noexcept {
  nanoseconds_t cost = 0;
  do {
    if (part_ == part::none || part_ == part::spans) {
      const nanoseconds_t rounds = (now - round_at_) / round_length();
      if (rounds > 0 && !resting_) {
        round_at_ += rounds * round_length();
        begin_round(static_cast<std::uint32_t>(std::min(rounds, most_rounds)));
      }
    }
    if (part_ == part::none) break;
    cost += do_part();
  } while (cost < most);
  const bool over = part_ == part::none;
  pace_.end(now, cost, over ? round_at_ + round_length() : 0);
  return over;
}

bool scavenger::step(std::uint32_t rounds, nanoseconds_t most) noexcept {
  if (!try_to_step()) return false;
  if (part_ == part::none) begin_round(rounds);
  for (nanoseconds_t cost = 0; part_ != part::none && cost < most;) cost += do_part();
  const bool over = part_ == part::none;
  stop_stepping();
  return over;
}

nanoseconds_t scavenger::do_part() noexcept {
  switch (part_) {
    case part::none: return 0;
    case part::kept: return drop_kept();
    case part::caches: return reclaim_one();
    case part::pages: return release_some();
    case part::spans: return tidy_next();
  }
  return 0;
}

void scavenger::begin_round(std::uint32_t rounds) noexcept {
  rounds_ = rounds;
  // Memory freed since the last round will not be old enough before patience is at its end.
  const bool more = noticed_.exchange(false, std::memory_order_relaxed);
  if (part_ == part::none) {
    more_ = false;
    released_ = 0;
    class_ = span_class_count;
    spans_left_ = 0;
  }
  more_ = more_ || more;
  part_ = part::kept;
}

/// Runs before the round has its number: kept spans were freed in the round before.
nanoseconds_t scavenger::drop_kept() noexcept {
  constexpr nanoseconds_t cost = kept_in_a_part * cost_of_kept;
  if (the_mheap.drop_kept(kept_in_a_part)) return cost;
  // No more than make pages old, so that the eight bits of span::given_in do not come round.
  const std::uint32_t by = std::min(rounds_, rounds_per_pace + 1);
  the_mheap.set_round(round_.fetch_add(by, std::memory_order_relaxed) + by);
  part_ = part::caches;
  return cost;
}

nanoseconds_t scavenger::reclaim_one() noexcept {
  if (!the_mcache_pool.reclaim_one()) {
    part_ = part::pages;
    along_ = {};
    bytes_left_ = rounds_ * std::max(least_per_round, the_mheap.figures().idle_resident / 8);
  }
  return cost_of_cache;
}

/// One span of nobody. From the last class to the first.
nanoseconds_t scavenger::tidy_next() noexcept {
  while (spans_left_ == 0 && class_ != 0)
    if (the_mcache_pool.serves(kind_of(--class_))) spans_left_ = the_mcentrals[class_].count();
  if (spans_left_ == 0) {
    end_round();
    return cost_of_span;
  }
  const std::size_t before = released_;
  spans_left_ = tidy_one(the_mcentrals[class_], false, released_) ? spans_left_ - 1 : 0;
  return released_ == before ? cost_of_span : cost_of_tidying + cost_of_release(released_ - before, 1);
}

nanoseconds_t scavenger::release_some() noexcept {
  const std::size_t before = along_.runs;
  const std::size_t bytes =
      the_mheap.release(round() - rounds_per_pace, std::min(bytes_left_, bytes_in_a_part), along_);
  const nanoseconds_t cost = cost_of_release(bytes, along_.runs - before);
  released_ += bytes;
  bytes_left_ -= std::min(bytes, bytes_left_);
  if (along_.page == no_page || bytes_left_ == 0) part_ = part::spans;
  return cost;
}

void scavenger::end_round() noexcept {
  part_ = part::none;
  idle_rounds_ = more_ || released_ != 0 ? 0 : idle_rounds_ + 1;
  if (idle_rounds_ < patience) return;
  resting_ = true;
  settled_.store(sparse_.load(std::memory_order_relaxed), std::memory_order_relaxed);
  // acquire: so that memory noticed meanwhile is seen; release half in notice().
  constexpr std::memory_order order = std::memory_order_acquire;
  waits_.exchange(false, HEDDLE_PLANTED(rest_without_acquire) ? std::memory_order_relaxed : order);
  if (noticed_.load(std::memory_order_relaxed)) waits_.store(true, std::memory_order_relaxed);
}

bool scavenger::tidy_one(mcentral& central, bool all, std::size_t& released) noexcept {
  span* const s = central.take();
  if (s == nullptr) return false;
  const bool touched = remote_word::count(s->remote.load(std::memory_order_relaxed)) != 0;
  s->live -= collect_remote(*s);
  if (s->in_use() == 0) {
    released += s->bytes();
    the_mheap.free_span(*s);
    return true;
  }
  while (s->teller != 0) link_told(*s);
  const bool settled = s->given_in != static_cast<std::uint8_t>(round());
  if ((touched || !s->tidied) && (settled || all)) released += tidy(*s);
  if (!central.give(*s, mcentral::end::back)) the_mheap.free_span(*s);
  return true;
}

std::size_t scavenger::tidy_spans(mcentral& central, bool all) noexcept {
  std::size_t released = 0;
  for (std::size_t n = central.count(); n != 0 && tidy_one(central, all, released);) --n;
  return released;
}

std::size_t scavenger::release_all() noexcept {
  // The thread is in the middle of a step only if a signal's handler asks for memory.
  const bool stepping = stepping_.load(std::memory_order_relaxed) == this_thread();
  if (!stepping) wait_to_step();
  the_mcache_pool.reclaim_all();
  std::size_t released = 0;
  for (std::size_t c = 0; c != span_class_count; ++c)
    if (the_mcache_pool.serves(kind_of(c))) released += tidy_spans(the_mcentrals[c], true);
  the_mheap.drop_kept(~std::size_t{0});
  const std::uint32_t round = round_.fetch_add(1, std::memory_order_relaxed) + 1;
  the_mheap.set_round(round);
  released += the_mheap.release(round, ~std::size_t{0});
  if (!stepping) stop_stepping();
  return released;
}

}  // namespace heddle::detail
