// SPDX-License-Identifier: BSL-1.0
#include <new>
#include <utility>

#include "mcache.hpp"

namespace heddle::detail {

constinit mcache_pool the_mcache_pool;

mcache* mcache_pool::take(span_kind kind) noexcept {
  void* memory = nullptr;
  {
    const thread_lock hold(lock_);
    mcache*& first = first_[index(kind)];
    if (mcache* const c = first; c != nullptr) {
      first = c->next;
      c->pooled.store(false, std::memory_order_relaxed);
      pooled_.fetch_sub(1, std::memory_order_relaxed);
      return c;
    }
    memory = the_mheap.make_record(sizeof(mcache));
    if (memory == nullptr) return nullptr;
    made_[index(kind)].fetch_add(1, std::memory_order_relaxed);
  }
  auto* const c = new (memory) mcache(kind);
  c->next_made = all_.load(std::memory_order_relaxed);
  // release: so that a thread that walks over them sees it complete; acquire half in for_each().
  while (!all_.compare_exchange_weak(c->next_made, c, std::memory_order_release, std::memory_order_relaxed)) {
  }
  return c;
}

void mcache_pool::give(mcache& c) noexcept {
  c.drain();
  const thread_lock hold(lock_);
  c.pooled.store(true, std::memory_order_relaxed);
  pooled_.fetch_add(1, std::memory_order_relaxed);
  c.next = std::exchange(first_[index(c.kind())], &c);
  if (c.has_returned()) c.drain();  // the sender may not have seen `pooled`
}

void mcache_pool::reclaim(mcache& c) noexcept {
  const thread_lock hold(lock_);
  const bool unused = c.pooled.load(std::memory_order_relaxed) || HEDDLE_PLANTED(reclaimed_in_use);
  if (unused && c.has_returned()) c.drain();
}

void mcache_pool::reclaim_all() noexcept {
  const thread_lock hold(lock_);
  for (mcache* c : first_)
    for (; c != nullptr; c = c->next)
      if (c->has_returned()) c->drain();
}

void mcache_pool::knock() noexcept {
  // acquire: so that each is seen as it was made; release half in take().
  for (mcache* c = all_.load(std::memory_order_acquire); c != nullptr; c = c->next_made) c->knock();
}

bool mcache_pool::reclaim_one() noexcept {
  const thread_lock hold(lock_);
  for (mcache* c : first_)
    for (; c != nullptr; c = c->next)
      if (c->has_returned()) {
        c->drain();
        return true;
      }
  return false;
}

}  // namespace heddle::detail
