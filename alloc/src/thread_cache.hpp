// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <cstdint>

#include "mcache.hpp"
#include "nobody.hpp"

namespace heddle::detail {

/// The cache that the calling thread allocates from, or nobodys_mcache.
extern constinit thread_local mcache* this_mcache;

/// Its caches of the collected kinds, by kind less one; null where there is none yet.
extern constinit thread_local std::array<mcache*, span_kinds - 1> collected_mcaches;

/// How many calls of the calling thread are at work without a mark of its own (see at_work).
extern constinit thread_local std::uint32_t guest_calls;

/// Has fork() take the lock of stdio's list of files before the gate is closed. fork() takes it anyway, and so the heap
/// does not wait with it. Only if this library's handlers are the last to run before a fork, because they were the
/// first to be registered.
void take_stdio_lock_at_forks() noexcept;

/// Prepares the process for threads that end and for forks, once. False: it cannot be done now. It may allocate. Every
/// call that is at work comes by here, or has a cache for which another has.
bool set_up_process() noexcept;

/// The same if forks are all that matters: returns when this library's handlers have been registered, or cannot be.
/// Waits for another thread that is at it.
void heed_forks_of_heap() noexcept;

/// Gives the calling thread a cache, to be taken back when it ends. Null: no memory, or the thread is ending.
mcache* attach_thread() noexcept;
/// The same for a cache of a collected kind.
mcache* attach_thread(span_kind kind) noexcept;

/// f(mcache&) for each cache of the calling thread.
template <class F>
void for_own_mcaches(F f) noexcept {
  if (this_mcache != &nobodys_mcache) f(*this_mcache);
  for (mcache* const c : collected_mcaches)
    if (c != nullptr) f(*c);
}

/// The cache of the calling thread, for as long as it lives: one of the pool if it can have no other.
class mcache_hold {
 public:
  mcache_hold() noexcept : cache_(this_mcache) {
    if (cache_ != &nobodys_mcache) return;
    cache_ = attach_thread();
    if (cache_ != nullptr) return;
    borrow(span_kind::manual);
  }
  explicit mcache_hold(span_kind collected) noexcept : cache_(attach_thread(collected)) {
    if (cache_ == nullptr) borrow(collected);
  }
  ~mcache_hold() {
    if (borrowed_) the_mcache_pool.give(*cache_);
  }
  mcache_hold(const mcache_hold&) = delete;
  mcache_hold& operator=(const mcache_hold&) = delete;
  explicit operator bool() const noexcept { return cache_ != nullptr; }
  mcache* operator->() const noexcept { return cache_; }
  mcache* get() const noexcept { return cache_; }

 private:
  void borrow(span_kind kind) noexcept {
    cache_ = the_mcache_pool.take(kind);
    borrowed_ = cache_ != nullptr;
  }

  mcache* cache_;
  bool borrowed_ = false;
};

}  // namespace heddle::detail
