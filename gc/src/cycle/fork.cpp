// SPDX-License-Identifier: BSL-1.0
//
// The collected heap over fork(): the thread that forks waits until no cycle is under way, and until no other thread is
// in a function of the collector. So a child finds the heap whole, and may collect with a thread of its own.
#include <pthread.h>

#include "barrier/mutators.hpp"
#include "count/ledger.hpp"
#include "cycle/collector.hpp"
#include "cycle/cycle_searcher.hpp"
#include "cycle/finisher.hpp"
#include "cycle/fork.hpp"
#include "cycle/leaks.hpp"
#include "heddle/detail/collected_pages.hpp"
#include "heddle/detail/fiber_roots.hpp"

namespace heddle::gc::detail {
namespace {

void before() noexcept HEDDLE_NO_THREAD_SAFETY_ANALYSIS {
  the_collector.cycle_lock().lock();
  the_finisher.before_fork();
  the_endings().lock().lock();
  the_kinds.lock().lock();
  the_mutators.stop_all();
}

void release_locks() noexcept HEDDLE_NO_THREAD_SAFETY_ANALYSIS {
  the_kinds.lock().unlock();
  the_endings().lock().unlock();
  the_collector.cycle_lock().unlock();
}

void after_in_parent() noexcept {
  the_mutators.go_on();
  release_locks();
}

void after_in_child() noexcept {
  the_mutators.forget_others();
  the_ledgers.after_fork_in_child();
  release_locks();
  the_collector.after_fork_in_child();
  the_finisher.after_fork_in_child();
  the_leaks().after_fork_in_child();
  the_cycle_searcher.after_fork_in_child();
}

}  // namespace

void heed_forks() noexcept {
  // Handlers that are registered later run earlier before a fork: so the allocator and the runtime, which register
  // their own now if they have not yet, still serve a cycle that this waits for.
  [[maybe_unused]] static const int once = [] {
    heddle::detail::collected_pages::heed_forks();
    heddle::detail::heed_forks();
    return ::pthread_atfork(before, after_in_parent, after_in_child);
  }();
}

}  // namespace heddle::gc::detail
