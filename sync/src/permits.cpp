// SPDX-License-Identifier: BSL-1.0
#include "heddle/detail/permits.hpp"

#include "heddle/detail/trusted.hpp"

namespace heddle::detail {
namespace {

void wake_all(permit_waiter* first) noexcept {
  while (first != nullptr) {
    permit_waiter* const rest = first->next;  // a woken one is gone
    first->self->wake();
    first = rest;
  }
}

}  // namespace

void permits::unlock(void* self) noexcept { static_cast<permits*>(self)->lock_.unlock_in_commit(); }

void permits::wait_for(permit_waiter& node) noexcept {
  lock_.lock();
  if (!announce(node.wanted)) return lock_.unlock();
  queue_.push_back(node);
  node.self->park(unlock, this);
  lock_.unlocked_by_commit();
}

bool permits::wait_for(permit_waiter& node, bounded_waiter& self) noexcept {
  lock_.lock();
  if (!announce(node.wanted)) {
    lock_.unlock();
    return true;
  }
  queue_.push_back(node);
  const wait_state how = self.park(unlock, this);
  lock_.unlocked_by_commit();
  return how == wait_state::signalled || leave(node);
}

/// Makes sure that who releases will look into the queue. False: there are enough permits now, and they are taken.
bool permits::announce(std::uint64_t n) noexcept {
  std::uint64_t state = state_.load(std::memory_order_relaxed);
  for (;;) {
    const bool enough = available(state, n);
    // acquire: as in try_acquire(). To set `queued` publishes nothing: who acts on it takes the lock.
    if (state_.compare_exchange_weak(state, enough ? state - n : state | queued, std::memory_order_acquire,
                                     std::memory_order_relaxed))
      return !enough;
  }
}

/// While somebody is queued: gives the first in the queue what they want, as far as `free` permits go, and takes them
/// out. Returns them, to be woken when the lock is free.
permit_waiter* permits::serve(std::uint64_t free) noexcept {
  permit_waiter* first = nullptr;
  for (permit_waiter** end = &first; !queue_.empty() && queue_.front()->wanted <= free;) {
    permit_waiter* const node = queue_.pop_front();
    if (!node->claim() && !HEDDLE_PLANTED(permits_for_one_who_left)) continue;
    free -= node->wanted;
    node->next = nullptr;
    *end = node;
    end = &node->next;
  }
  // release: so that who acquires sees what was done before the release; acquire half in try_acquire(), announce(). Not
  // a read-modify-write, since nobody else writes while `queued` is set; so who calls has read the word with acquire.
  state_.store(free | (queue_.empty() ? 0 : queued), std::memory_order_release);
  return first;
}

bool permits::release_slow(std::uint64_t n, std::uint64_t most) noexcept {
  lock_.lock();
  // acquire: so that serve() passes on what others did before they released; release half in release(), serve().
  const std::uint64_t state = state_.load(std::memory_order_acquire);
  if (!(state & queued)) {  // those who waited have given up
    lock_.unlock();
    return release(n, most);
  }
  const std::uint64_t free = state & ~queued;
  const bool fits = n <= most && free <= most - n;
  permit_waiter* const served = fits ? serve(free + n) : nullptr;
  lock_.unlock();
  wake_all(served);
  return fits;
}

/// After a wait that its bounds have ended: those behind may have waited only because of this one. Always false.
bool permits::leave(permit_waiter& node) noexcept {
  lock_.lock();
  permit_waiter* served = nullptr;
  if (fifo<permit_waiter>::linked(node)) {
    queue_.erase(node);
    // acquire: as in release_slow().
    const std::uint64_t free = state_.load(std::memory_order_acquire) & ~queued;
    served = serve(HEDDLE_PLANTED(leaver_serves_nobody) ? 0 : free);
    if (HEDDLE_PLANTED(leaver_serves_nobody)) state_.fetch_add(free, std::memory_order_relaxed);
  }
  lock_.unlock();
  wake_all(served);
  return false;
}

}  // namespace heddle::detail
