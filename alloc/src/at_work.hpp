// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "fork_gate.hpp"
#include "mcache.hpp"
#include "nobody.hpp"
#include "reserve_blocks.hpp"
#include "thread_cache.hpp"

namespace heddle::detail {

/// While it lives the calling thread may touch the shared parts of the heap: take locks, go to spans, caches of others
/// and lists. Every call that does so has one; the functions that it calls have none. If it is not admitted (see
/// fork_gate), none of that may be touched, and blocks come from the_reserve_blocks.
class at_work {
 public:
  using patience = fork_gate::patience;

  explicit at_work(patience p = patience::bounded) noexcept : at_work(this_mcache, p) {}
  /// The same if the caller has this_mcache at hand.
  explicit at_work(mcache* c) noexcept : at_work(c, patience::bounded) {}
  ~at_work() {
    if (mark_ != nullptr) [[likely]]
      the_fork_gate.leave(*mark_);
    else if (is_guest_)
      the_fork_gate.leave_as_guest(guest_calls);
  }
  at_work(const at_work&) = delete;
  at_work& operator=(const at_work&) = delete;

  explicit operator bool() const noexcept { return mark_ != nullptr || is_guest_; }
  /// The address that tells a thread from others, also in a child.
  static const void* self() noexcept { return &this_mcache; }
  /// Whether a call of the thread is at work.
  static bool is_any() noexcept { return this_mcache->work.load(std::memory_order_relaxed) != 0 || guest_calls != 0; }
  /// A block for a call that was not admitted. If there is none in the reserve, which has an end, and takes memory that
  /// the heap may have free: what `again` returns, which is the same call once the fork is over.
  template <class F>
  static void* serve_otherwise(std::size_t alignment, std::size_t size, F again) noexcept {
    void* const p = the_reserve_blocks.allocate(alignment, size);
    if (p != nullptr || size >= absurd) return p;
    return !is_any() && the_fork_gate.wait_for_fork() ? again() : nullptr;
  }

 private:
  /// Bytes that no block can have.
  static constexpr std::size_t absurd = std::size_t{1} << 46;

  at_work(mcache* c, patience p) noexcept {
    if (c != &nobodys_mcache) [[likely]] {
      if (the_fork_gate.enter(c->work, self(), p)) [[likely]]
        mark_ = &c->work;
    } else {
      set_up_process();  // no cache has come to this thread, and perhaps to none: forks have to heed guests, too
      is_guest_ = the_fork_gate.enter_as_guest(guest_calls, self(), p);
    }
  }

  fork_gate::mark* mark_ = nullptr;
  bool is_guest_ = false;
};

}  // namespace heddle::detail
