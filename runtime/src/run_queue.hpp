// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "heddle/detail/platform.hpp"

namespace heddle::detail {

class fiber;

/// Small under the explorer, so that wrapping and overflow are common there.
#if defined(HEDDLE_MODEL) && HEDDLE_MODEL
inline constexpr std::uint32_t queue_capacity = 4;
#else
inline constexpr std::uint32_t queue_capacity = 256;
#endif

/// Whether other processors may take from a queue. With one processor they do not exist, and the owner
/// needs no read-modify-write.
enum class sharing : bool {
  exclusive,  ///< one processor: only the owner ever takes
  stealable,  ///< thieves take from the head
};

/// The local queue of woken and yielded fibers: a bounded ring, first in, first out, with `runnext` before it.
///
/// 1. Only the owner of the processor writes `tail_` and puts into slots and `runnext_`.
/// 2. `head_` moves by compare-exchange, since owner and thieves take there (exclusive: by store).
/// 3. The slots [head, tail) are full; a slot is rewritten only after `head_` has passed it.
/// 4. A fiber is in at most one queue.
///
/// Source: the local run queue of the Go scheduler (D. Vyukov, "Scalable Go Scheduler Design", 2012).
class run_queue {
 public:
  explicit run_queue(sharing s = sharing::stealable) noexcept : sharing_(s) {}
  run_queue(const run_queue&) = delete;
  run_queue& operator=(const run_queue&) = delete;

  /// Owner only. False if the ring is full.
  bool push(fiber* f) noexcept {
    const std::uint32_t t = tail_.load(std::memory_order_relaxed);
    // acquire: so that a thief's reads of a slot are over before it is rewritten; release half in take().
    const std::uint32_t h = head_.load(std::memory_order_acquire);
    if (t - h >= queue_capacity) return false;
    slots_[t % queue_capacity].store(f, std::memory_order_relaxed);
    // release: so that whoever sees the new tail sees the slot and the fiber; acquire half in take().
    tail_.store(t + 1, HEDDLE_PLANTED(relaxed_tail) ? std::memory_order_relaxed : std::memory_order_release);
    return true;
  }

  /// Owner only. The oldest fiber of the ring, or null.
  fiber* pop() noexcept {
    if (sharing_ == sharing::exclusive) {
      const std::uint32_t h = head_.load(std::memory_order_relaxed);
      if (h == tail_.load(std::memory_order_relaxed)) return nullptr;
      fiber* f = slots_[h % queue_capacity].load(std::memory_order_relaxed);
      head_.store(h + 1, std::memory_order_relaxed);
      return f;
    }
    fiber* f = nullptr;
    return take(1, &f) != 0 ? f : nullptr;
  }

  /// Owner or thief: takes up to `most` of the oldest into `out`, and says how many.
  std::uint32_t take(std::uint32_t most, fiber** out) noexcept {
    for (;;) {
      // acquire: so that the slots are read after the head that guards them; release half in the exchange below.
      std::uint32_t h = head_.load(std::memory_order_acquire);
      // acquire: so that the slots behind the tail are seen; release half in push().
      const std::uint32_t t = tail_.load(std::memory_order_acquire);
      const std::uint32_t size = t - h;
      if (size == 0) return 0;
      if (size > queue_capacity) continue;  // the head moved between the two loads
      const std::uint32_t n = size < most ? size : most;
      for (std::uint32_t i = 0; i != n; ++i) out[i] = slots_[(h + i) % queue_capacity].load(std::memory_order_relaxed);
      if (HEDDLE_PLANTED(take_without_exchange)) {
        head_.store(h + n, std::memory_order_release);  // release: as below, without the comparison
        return n;
      }
      // release: so that the owner rewrites the slots only after they were read; acquire half in push().
      if (head_.compare_exchange_weak(h, h + n, std::memory_order_release, std::memory_order_relaxed)) return n;
      if (HEDDLE_PLANTED(take_without_reread) &&
          head_.compare_exchange_strong(h, h + n, std::memory_order_release, std::memory_order_relaxed))
        return n;
    }
  }

  /// A thief's share of a queue: half of it, rounded up.
  std::uint32_t take_half(fiber** out) noexcept {
    const std::uint32_t n = size();
    return n == 0 ? 0 : take(n - n / 2, out);
  }

  /// Owner only. Puts `f` before everything else; returns the fiber that was there, or null. Only the owner makes it
  /// other than null, so an empty one needs no exchange.
  fiber* replace_next(fiber* f) noexcept {
    fiber* const old = next_.load(std::memory_order_relaxed);
    if (old == nullptr || sharing_ == sharing::exclusive) {
      next_.store(f, std::memory_order_release);  // release: so that a thief sees the fiber; half in take_next()
      return old;
    }
    return next_.exchange(f, std::memory_order_release);  // release: as above; a thief may have been faster
  }

  /// Owner, or a thief that has waited. Takes `runnext`, or null.
  fiber* take_next() noexcept {
    fiber* f = next_.load(std::memory_order_relaxed);
    if (f == nullptr) return nullptr;
    if (sharing_ == sharing::exclusive || HEDDLE_PLANTED(runnext_taken_twice)) {
      next_.store(nullptr, std::memory_order_relaxed);
      return f;
    }
    // acquire: so that the taker sees the fiber as its waker left it; release half in replace_next().
    return next_.exchange(nullptr, std::memory_order_acquire);
  }

  /// Anyone. What `runnext` holds now; may be gone the moment after.
  fiber* peek_next() const noexcept {
    // seq_cst: so that a machine going idle looks here after it has counted itself idle.
    return next_.load(std::memory_order_seq_cst);
  }

  std::uint32_t size() const noexcept {
    const std::uint32_t h = head_.load(std::memory_order_relaxed);
    // seq_cst: so that a machine going idle looks here after it has counted itself idle.
    const std::uint32_t n = tail_.load(std::memory_order_seq_cst) - h;
    return n > queue_capacity ? queue_capacity : n;
  }
  bool empty() const noexcept { return size() == 0; }

 private:
  alignas(64) atomic<std::uint32_t> head_{0};
  alignas(64) atomic<std::uint32_t> tail_{0};
  atomic<fiber*> next_{nullptr};
  const sharing sharing_;
  atomic<fiber*> slots_[queue_capacity] = {};
};

/// The local queue of fibers that have not run yet: the owner takes the newest, so that trees of fibers are
/// walked in depth and few stacks are alive; thieves take the oldest, which are the largest subtrees.
///
/// 1. Only the owner writes `bottom_` and the slots.
/// 2. `top_` only grows, by compare-exchange.
/// 3. The slots [top, bottom) are full.
///
/// Source: D. Chase, Y. Lev, "Dynamic Circular Work-Stealing Deque", SPAA 2005, with the orderings of
/// N. M. Le et al., "Correct and Efficient Work-Stealing for Weak Memory Models", PPoPP 2013.
class fresh_queue {
 public:
  explicit fresh_queue(sharing s = sharing::stealable) noexcept : sharing_(s) {}
  fresh_queue(const fresh_queue&) = delete;
  fresh_queue& operator=(const fresh_queue&) = delete;

  /// Owner only. False if full.
  bool push(fiber* f) noexcept {
    const std::uint32_t b = bottom_.load(std::memory_order_relaxed);
    // acquire: so that a thief's read of the slot is over before it is rewritten; release half in steal().
    const std::uint32_t t = top_.load(std::memory_order_acquire);
    if (b - t >= queue_capacity) return false;
    slots_[b % queue_capacity].store(f, std::memory_order_relaxed);
    // release: so that a thief that sees the bottom sees the slot and the fiber; acquire half in steal().
    bottom_.store(b + 1, HEDDLE_PLANTED(relaxed_bottom) ? std::memory_order_relaxed : std::memory_order_release);
    return true;
  }

  /// Owner only. The newest, or null.
  fiber* pop() noexcept {
    const std::uint32_t b = bottom_.load(std::memory_order_relaxed) - 1;
    if (static_cast<std::int32_t>(b - top_.load(std::memory_order_relaxed)) < 0) return nullptr;
    // release: a thief that reads this bottom, or the one restored below, must see the slots under it as well as by
    // the bottom of push(), whose release sequence ends here; acquire half in steal().
    bottom_.store(b, std::memory_order_release);
    if (sharing_ == sharing::exclusive) return slots_[b % queue_capacity].load(std::memory_order_relaxed);
    if (!HEDDLE_PLANTED(pop_without_fence))
      platform::fence(std::memory_order_seq_cst);  // the lowered bottom is seen before top is read; half in steal()
    std::uint32_t t = top_.load(std::memory_order_relaxed);
    fiber* f = nullptr;
    if (static_cast<std::int32_t>(b - t) >= 0) {
      f = slots_[b % queue_capacity].load(std::memory_order_relaxed);
      if (b != t) return f;
      // The last one: the race with the thieves is decided at the top.
      // seq_cst: so that it is ordered against the thieves' exchanges and fences; other half in steal().
      if (!top_.compare_exchange_strong(t, t + 1, std::memory_order_seq_cst, std::memory_order_relaxed)) f = nullptr;
    }
    bottom_.store(b + 1, std::memory_order_release);  // release: as above
    return f;
  }

  /// Owner only. What pop() would return if no thief came first, or null.
  fiber* newest() const noexcept {
    const std::uint32_t b = bottom_.load(std::memory_order_relaxed) - 1;
    if (static_cast<std::int32_t>(b - top_.load(std::memory_order_relaxed)) < 0) return nullptr;
    return slots_[b % queue_capacity].load(std::memory_order_relaxed);
  }

  /// Thief, or the owner out of fairness. The oldest; null if empty or if another was faster.
  fiber* steal() noexcept {
    // acquire: so that bottom is read after top.
    std::uint32_t t = top_.load(std::memory_order_acquire);
    if (!HEDDLE_PLANTED(steal_without_fence))
      platform::fence(std::memory_order_seq_cst);  // top is read before bottom; other half in pop()
    // acquire: so that the slot is seen; release half in push().
    const std::uint32_t b = bottom_.load(std::memory_order_acquire);
    if (static_cast<std::int32_t>(b - t) <= 0) return nullptr;
    fiber* f = slots_[t % queue_capacity].load(std::memory_order_relaxed);
    // seq_cst: so that it is ordered against the owner's pop of the last one; other half in pop().
    return top_.compare_exchange_strong(t, t + 1, std::memory_order_seq_cst, std::memory_order_relaxed) ? f : nullptr;
  }

  /// Owner only. Takes the older half at once, and says how many: the owner does not pop meanwhile, so the
  /// slots stay as they are if the exchange succeeds.
  std::uint32_t take_half(fiber** out) noexcept {
    // acquire: so that slots are not read before; release half in steal()'s exchange.
    std::uint32_t t = top_.load(std::memory_order_acquire);
    for (;;) {
      const std::uint32_t n = (bottom_.load(std::memory_order_relaxed) - t) / 2;
      if (n == 0) return 0;
      for (std::uint32_t i = 0; i != n; ++i) out[i] = slots_[(t + i) % queue_capacity].load(std::memory_order_relaxed);
      // seq_cst: as in steal().
      if (top_.compare_exchange_weak(t, t + n, std::memory_order_seq_cst, std::memory_order_acquire)) return n;
    }
  }

  std::uint32_t size() const noexcept {
    const std::uint32_t t = top_.load(std::memory_order_relaxed);
    // seq_cst: so that a machine going idle looks here after it has counted itself idle.
    const std::uint32_t b = bottom_.load(std::memory_order_seq_cst);
    return static_cast<std::int32_t>(b - t) > 0 ? b - t : 0;
  }
  bool empty() const noexcept { return size() == 0; }

 private:
  alignas(64) atomic<std::uint32_t> top_{0};
  alignas(64) atomic<std::uint32_t> bottom_{0};
  const sharing sharing_;
  atomic<fiber*> slots_[queue_capacity] = {};
};

}  // namespace heddle::detail
