// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>

#include "heddle/detail/platform.hpp"

namespace heddle::detail {

/// Stands between threads that are at work on the shared parts of the heap and threads that fork. A child has none of
/// the other threads, and must find the shared parts complete.
///
/// A library cannot hold its locks over a fork, as glibc's malloc does. glibc takes those inside fork(), behind the
/// locks of stdio and of the name service, whose holders allocate. A library's handlers run before fork() takes them,
/// so each would wait for the other. So the thread that forks holds no lock. It closes the gate and waits until nobody
/// is at work. A thread that comes then waits until the fork is over, but not for long, since fork() may wait for a
/// lock of that thread. After a while it is refused, and served otherwise (reserve_blocks).
///
/// The protocol: a thread that begins writes its mark, then reads whether the gate is closed. A thread that forks
/// closes the gate, has all threads execute a fence, then reads the marks. One of the two sees the other.
class fork_gate {
 public:
  /// Not 0: a call of the thread is at work, at that place on its stack. Written by that thread.
  using mark = atomic<std::uint32_t>;
  enum class patience { bounded, endless };
  static constexpr nanoseconds_t longest_wait = 20'000'000;  ///< of a thread that wants to work, for a fork
  static constexpr nanoseconds_t longest_drain = nanoseconds_t{10} * 1'000'000'000;  ///< of a fork, for others at work
  /// The same in a handler that has interrupted a call of its own: others may wait for a lock which that call holds.
  /// And while such a handler waits for this fork: its call cannot end before.
  static constexpr nanoseconds_t longest_drain_within = 20'000'000;
  /// Of a thread that wants to work, and that nothing else can serve.
  static constexpr nanoseconds_t longest_last_wait = nanoseconds_t{10} * 1'000'000'000;

  constexpr fork_gate() noexcept = default;

  /// The calling thread, which is `self`, begins to work. False: it must not, since another forks, or since this is a
  /// signal's handler and has interrupted a call of its own that is at work. O(1).
  bool enter(mark& mine, const void* self, patience p = patience::bounded) noexcept {
    const std::uint32_t place = place_on_stack();
    if (const std::uint32_t other = mine.load(std::memory_order_relaxed); other != 0 && goes_on(other, place))
        [[unlikely]]
      return false;
    mine.store(place, std::memory_order_relaxed);
    platform::light_barrier();  // the other half is in close()
    // acquire: so that a fork is over before what comes; release half in open().
    if (closed_.load(std::memory_order_acquire) == 0 || HEDDLE_PLANTED(worker_looks_not)) [[likely]]
      return true;
    return enter_slow(mine, self, p);
  }
  void leave(mark& mine) noexcept {
    // release: so that the thread that forks sees the work; acquire half in wait_until().
    mine.store(0, HEDDLE_PLANTED(worker_leaves_relaxed) ? std::memory_order_relaxed : std::memory_order_release);
  }
  /// The same for a thread without a mark. `within`: a number of its own, which only these two change.
  bool enter_as_guest(std::uint32_t& within, const void* self, patience p = patience::bounded) noexcept;
  void leave_as_guest(std::uint32_t& within) noexcept;

  /// While it lives a thread waits until it may fork: for what comes before close(), and for that. Other forks do not
  /// wait long then for a call that this one has interrupted.
  class approach {
   public:
    approach(fork_gate& gate, const mark* own, std::uint32_t own_guests) noexcept
        : gate_(gate), counts_(is_within(own, own_guests)) {
      if (counts_) gate_.held_up_.fetch_add(1, std::memory_order_relaxed);
    }
    ~approach() {
      if (counts_) gate_.held_up_.fetch_sub(1, std::memory_order_relaxed);
    }
    approach(const approach&) = delete;
    approach& operator=(const approach&) = delete;

   private:
    fork_gate& gate_;
    const bool counts_;
  };

  /// Before a fork by the thread `self`, whose own mark is `own` (or null, and it is a guest so many times):
  /// for_each(f) calls f with the mark of each thread. Waits for other forks, then until nobody else is at work, though
  /// not for ever: a thread may have been stopped in the middle. False: the thread forks already, in a handler.
  template <class F>
  bool close(const void* self, const mark* own, std::uint32_t own_guests, F for_each) noexcept {
    if (!begin_closing(self)) return false;
    if (!HEDDLE_PLANTED(fork_without_fence)) platform::heavy_barrier();
    const bool within = is_within(own, own_guests);
    const nanoseconds_t begin = platform::now();
    if (!HEDDLE_PLANTED(fork_waits_for_nobody)) {
      for_each([&](const mark& m) {
        if (&m != own) wait_until(m, 0, begin, within);
      });
      wait_until(guests_, own_guests, begin, within);
    }
    return true;
  }
  /// After the fork, in the parent, or if it has failed.
  void open() noexcept;
  /// In the child, whose only thread is a guest so many times.
  void open_in_child(std::uint32_t own_guests) noexcept;
  /// Waits until no thread forks, but not for ever: a fork may wait for a lock of the calling thread. False: one does
  /// still. Not for a thread that is at work.
  bool wait_for_fork() noexcept;
  bool is_open() const noexcept { return closed_.load(std::memory_order_relaxed) == 0; }

  /// Where the calling function is on its stack, in grains; never 0.
  [[gnu::always_inline]] static std::uint32_t place_on_stack() noexcept {
    std::uintptr_t pointer = 0;
    asm volatile("movq %%rsp, %0" : "=r"(pointer));
    return static_cast<std::uint32_t>(pointer >> 4) | 1;
  }

 private:
  /// Whether the call at `other` goes on while another is at `place`. If not, that call is no more: somebody has jumped
  /// out of it, as handlers of signals do that must not.
  static bool goes_on(std::uint32_t other, std::uint32_t place) noexcept;
  bool enter_slow(mark& mine, const void* self, patience p) noexcept;
  bool begin_closing(const void* self) noexcept;
  static bool is_within(const mark* own, std::uint32_t own_guests) noexcept {
    return own_guests != 0 || (own != nullptr && own->load(std::memory_order_relaxed) != 0);
  }
  bool wait_until_open(patience p) noexcept;
  void wait_until(const mark& m, std::uint32_t value, nanoseconds_t begin, bool within) const noexcept;
  bool is_mine(const void* self) const noexcept { return forking_.load(std::memory_order_relaxed) == self; }

  atomic<std::uint32_t> closed_{0};
  atomic<const void*> forking_{nullptr};  ///< the thread that closed the gate; written by it
  atomic<bool> stuck_{false};             ///< a thread has waited to the limit: others need not
  mark guests_{0};
  /// Approaches of handlers that have interrupted a call which is at work.
  atomic<std::uint32_t> held_up_{0};
};

extern fork_gate the_fork_gate;

}  // namespace heddle::detail
