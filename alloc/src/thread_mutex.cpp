// SPDX-License-Identifier: BSL-1.0
#include "heddle/detail/thread_mutex.hpp"

#include "heddle/detail/trusted.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>

namespace heddle::detail {

void thread_mutex::lock_slow() noexcept {
  // The sections are short, so a few looks before the kernel is asked; models have no use for more than one. Looks
  // apart, and further apart each time: each takes the line away from a holder who may be about to lock again. With
  // one every 25 ns a message between four pairs of fibers on two processors cost 95 ns, so it costs 17.
#if defined(HEDDLE_MODEL) && HEDDLE_MODEL
  constexpr unsigned first = 1, longest = 1, patience = 1;
#else
  constexpr unsigned first = 8, longest = 128, patience = 512;  // pauses
#endif
  for (unsigned spent = 0, wait = first; spent < patience; spent += wait, wait = std::min(2 * wait, longest)) {
    for (unsigned i = 0; i != wait; ++i) platform::cpu_relax();
    if (state_.load(std::memory_order_relaxed) == free && try_to_hold()) return;
  }
  // acquire: so that what the last holder wrote is seen; release half in unlock().
  std::uint32_t mark = contended;
  while (state_.exchange(mark, std::memory_order_acquire) != free) {
    platform::futex_wait(state_, mark);
    if (HEDDLE_PLANTED(lock_forgets_sleepers)) mark = held;
  }
}

#if defined(HEDDLE_LOCK_RANKS) && HEDDLE_LOCK_RANKS

namespace {

constexpr auto ranks = static_cast<std::size_t>(lock_rank::lists) + 1;

/// How many locks of each rank the kernel thread holds. A commit function unlocks on the thread that locked.
std::array<int, ranks>& held_locks() noexcept {
  thread_local std::array<int, ranks> held{};
  return held;
}

const char* name_of(std::size_t rank) noexcept {
  constexpr std::array<const char*, ranks> names{
      "life",     "cycle",  "primitive", "descriptor", "scheduler", "handoff",  "registry", "endings", "kinds",
      "mutators", "poller", "pool",      "checks",     "mcaches",   "mcentral", "mheap",    "lists"};
  return names[rank];
}

/// Whether a thread may hold several of them.
bool is_ordered_otherwise(lock_rank r) noexcept {
  return r == lock_rank::primitive || r == lock_rank::checks || r == lock_rank::mcentral || r == lock_rank::lists;
}

}  // namespace

void thread_mutex::note_locked() noexcept {
  std::array<int, ranks>& counts = held_locks();
  const auto mine = static_cast<std::size_t>(rank_);
  for (std::size_t r = is_ordered_otherwise(rank_) ? mine + 1 : mine; r != counts.size(); ++r) {
    if (counts[r] == 0 || (rank_ == lock_rank::life && r != mine)) continue;
    std::fprintf(stderr, "heddle: a lock of rank %s is taken under one of rank %s\n", name_of(mine), name_of(r));
    std::abort();
  }
  ++counts[mine];
}

void thread_mutex::note_unlocked() noexcept { --held_locks()[static_cast<std::size_t>(rank_)]; }

#endif

}  // namespace heddle::detail
