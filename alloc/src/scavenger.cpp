// SPDX-License-Identifier: BSL-1.0
#include "scavenger.hpp"

#include <pthread.h>
#include <csignal>

#include <algorithm>
#include <bit>

#include "at_work.hpp"
#include "mcache.hpp"
#include "mcentral.hpp"
#include "mheap.hpp"
#include "misuse.hpp"
#include "options.hpp"
#include "os.hpp"

namespace heddle::detail {

constinit scavenger the_scavenger;

namespace {

constexpr std::size_t os_page = 4096;
constexpr std::size_t least_per_step = std::size_t{32} << 20;
/// So many steps without work, and the thread ends.
constexpr unsigned patience = 12;

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

void scavenger::want() noexcept {
  wanted_.store(the_options.scavenger == scavenging::background, std::memory_order_relaxed);
}

void scavenger::notice_sparse(std::size_t bytes) noexcept {
  const std::size_t before = sparse_.fetch_add(bytes, std::memory_order_relaxed);
  const std::size_t settled = settled_.load(std::memory_order_relaxed);
  notice_idle(before > settled ? before - settled : 0);
}

void scavenger::start(const void* caller) noexcept {
  const os::errno_kept keep;
  if (os::in_loader(caller)) return;
  bool expected = false;
  // acquire: what the last thread did is over; release half in work().
  if (!running_.compare_exchange_strong(expected, true, std::memory_order_acquire, std::memory_order_relaxed)) return;
  pthread_attr_t attributes;
  ::pthread_attr_init(&attributes);
  ::pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  ::pthread_attr_setstacksize(&attributes, std::size_t{128} << 10);
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread{};
  // If the kernel has no thread to give, it counts as running, and nobody tries again.
  ::pthread_create(&thread, &attributes, run, this);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ::pthread_attr_destroy(&attributes);
}

void* scavenger::run(void* self) noexcept {
  ::pthread_setname_np(::pthread_self(), "heddle-scavenge");
  static_cast<scavenger*>(self)->work();
  return nullptr;
}

void scavenger::work() noexcept {
  for (unsigned idle_steps = 0; idle_steps != patience;) {
    const nanoseconds_t step = nanoseconds_t{the_options.pace_ms} * 1'000'000 / steps_per_pace;
    platform::futex_wait(sleeping_, 0, platform::now() + step);
    // Freed since the last step, it will not be old enough before patience is at its end.
    const at_work here(at_work::patience::endless);
    const bool more = wanted_.exchange(false, std::memory_order_relaxed);
    const std::uint32_t round = round_.fetch_add(1, std::memory_order_relaxed) + 1;
    the_mheap.set_round(round);
    the_mcache_pool.reclaim_all();
    std::size_t released = tidy_spans(false);
    const std::size_t idle = the_mheap.figures().idle_resident;
    released += the_mheap.release(round - steps_per_pace, std::max(least_per_step, idle / 8));
    idle_steps = more || released != 0 ? 0 : idle_steps + 1;
  }
  settled_.store(sparse_.load(std::memory_order_relaxed), std::memory_order_relaxed);
  // It may be wanted again by now: then the next who frees finds that it does not run.
  // release: so that who sees it may take what the thread did for over; acquire halves in start(), running().
  running_.store(false, std::memory_order_release);
}

std::size_t scavenger::tidy_spans(mcentral& central, bool all) noexcept {
  std::size_t released = 0;
  for (std::size_t n = central.count(); n != 0; --n) {
    span* const s = central.take();
    if (s == nullptr) break;
    const bool touched = remote_word::count(s->remote.load(std::memory_order_relaxed)) != 0;
    s->live -= collect_remote(*s);
    if (s->in_use() == 0) {
      released += s->bytes();
      the_mheap.free_span(*s);
      continue;
    }
    while (s->teller != 0) link_told(*s);
    const bool settled = s->given_in != static_cast<std::uint8_t>(round());
    if ((touched || !s->tidied) && (settled || all)) released += tidy(*s);
    if (!central.give(*s, mcentral::end::back)) the_mheap.free_span(*s);
  }
  return released;
}

std::size_t scavenger::tidy_spans(bool all) noexcept {
  std::size_t released = 0;
  for (std::size_t c = 0; c != span_class_count; ++c)
    if (the_mcache_pool.serves(kind_of(c))) released += tidy_spans(the_mcentrals[c], all);
  return released;
}

std::size_t scavenger::release_all() noexcept {
  the_mcache_pool.reclaim_all();
  std::size_t released = tidy_spans(true);
  const std::uint32_t round = round_.fetch_add(1, std::memory_order_relaxed) + 1;
  the_mheap.set_round(round);
  return released + the_mheap.release(round, ~std::size_t{0});
}

}  // namespace heddle::detail
