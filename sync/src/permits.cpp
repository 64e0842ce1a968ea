// SPDX-License-Identifier: BSL-1.0
#include "heddle/detail/permits.hpp"

#include <cinttypes>

#include "heddle/detail/home_stack.hpp"
#include "heddle/detail/trusted.hpp"
#include "heddle/detail/wait_description.hpp"
#include "misuse.hpp"

namespace heddle::detail {
namespace {

void wake_all(permit_waiter* first) noexcept {
  while (first != nullptr) {
    permit_waiter* const rest = first->next;  // a woken one is gone
    first->self->wake();
    first = rest;
  }
}

[[noreturn]] void too_many_owed(const permits* p) noexcept {
  misuse("semaphore", p, "signal handlers have released more permits than its limit");
}

}  // namespace

void permits::unlock(void* self) noexcept { static_cast<permits*>(self)->lock_.unlock_in_commit(); }

/// How reports describe a fiber that waits for permits.
struct permits_waits {
  static const waiter& waiter_of(const permit_waiter& w) noexcept { return *w.self; }
  static void describe(void* argument, wait_text& to) HEDDLE_NO_THREAD_SAFETY_ANALYSIS {
    const auto& p = *static_cast<const permits*>(argument);
    to.say("for semaphore %p", argument);
    if (const permit_waiter* const node = to.find(p.queue_, waiter_of))
      to.say(" (wants %" PRIu64 ", has %" PRIu64 ")", node->wanted, p.count());
    to.say(", until a release()");
  }
  static const wait_description registered;
};
const wait_description permits_waits::registered(permits::unlock, permits_waits::describe);

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
  if (calls_are_held()) [[unlikely]] {
    owe(n, most);
    return true;
  }
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

/// In a handler that has interrupted a thread which may hold the locks that are needed. Whether there are too many is
/// seen later: those who wait may have got some by then.
void permits::owe(std::uint64_t n, std::uint64_t most) noexcept {
  most_.store(most, std::memory_order_relaxed);
  // release: so that a fiber that gets the permits sees what was done before; acquire half in release_owed().
  if (n != 0 && owed_.fetch_add(n, std::memory_order_release) == 0) hold_call(*this);
}

void permits::release_owed(held_call& self) noexcept {
  permits& p = static_cast<permits&>(self);
  std::uint64_t n = p.owed_.load(std::memory_order_acquire);  // acquire: release half in owe()
  do {
    wake_all(p.give(n));
    if (p.count() > p.most_.load(std::memory_order_relaxed)) too_many_owed(&p);
    // release: so that what is done here comes before the end of the object; acquire half in the destructor. acquire:
    // as above, for what has been added.
  } while ((n = p.owed_.fetch_sub(n, std::memory_order_acq_rel) - n) != 0);
}

/// Adds n permits whatever the limit is. Returns those who have theirs now, to be woken.
permit_waiter* permits::give(std::uint64_t n) noexcept {
  const thread_lock hold(lock_);
  std::uint64_t state = state_.load(std::memory_order_relaxed);
  if (n > ~queued - (state & ~queued)) too_many_owed(this);
  while (!(state & queued))  // nobody queues meanwhile, but others may take permits and release some
    // release: as in release().
    if (state_.compare_exchange_weak(state, state + n, std::memory_order_release, std::memory_order_relaxed))
      return nullptr;
  // acquire: as in release_slow().
  return serve((state_.load(std::memory_order_acquire) & ~queued) + n);
}

void permits::await_owed() noexcept {
  on_home_stack([this] {
    while (owed_.load(std::memory_order_acquire) != 0) {  // acquire: as in the destructor
      make_held_calls();
      platform::yield_thread();
    }
  });
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
