// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "mcache.hpp"
#include "nobody.hpp"

namespace heddle::detail {

/// The cache that the calling thread allocates from, or nobodys_mcache.
extern constinit thread_local mcache* this_mcache;

/// Prepares the process for threads that end and for forks, once. False: it cannot be done now. It may allocate.
bool set_up_process() noexcept;

/// Gives the calling thread a cache, to be taken back when it ends. Null: no memory, or the thread is ending.
mcache* attach_thread() noexcept;

/// The cache of the calling thread, for as long as it lives: one of the pool if it can have no other.
class mcache_hold {
 public:
  mcache_hold() noexcept : cache_(this_mcache) {
    if (cache_ != &nobodys_mcache) return;
    cache_ = attach_thread();
    if (cache_ != nullptr) return;
    cache_ = the_mcache_pool.take();
    borrowed_ = cache_ != nullptr;
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
  mcache* cache_;
  bool borrowed_ = false;
};

}  // namespace heddle::detail
