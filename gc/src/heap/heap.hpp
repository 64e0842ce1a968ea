// SPDX-License-Identifier: BSL-1.0
//
// The spans of each kind: caches take them and give them back, and each is swept once a cycle.
#pragma once

#include <cstddef>
#include <cstdint>

#include "heap/span.hpp"

namespace heddle::gc::detail {

/// Spans by their `next`, first in, first out.
struct span_queue {
  span* first = nullptr;
  span* last = nullptr;

  void push(span& s) noexcept {
    s.next = nullptr;
    (last != nullptr ? last->next : first) = &s;
    last = &s;
  }
  span* pop() noexcept {
    span* const s = first;
    if (s != nullptr && (first = s->next) == nullptr) last = nullptr;
    return s;
  }
  void append(span_queue& other) noexcept {
    if (other.first == nullptr) return;
    (last != nullptr ? last->next : first) = other.first;
    last = other.last;
    other = {};
  }
};

/// All spans of one kind. When the cycle's number changes, those become unswept in which something may have died:
/// after a whole cycle all, after a young one those that threads have taken blocks of since the sweep before. Marking
/// does not begin before all are swept again.
///
/// Source: Go's mcentral.
struct alignas(64) central {
  heddle::detail::thread_mutex lock{heddle::detail::lock_rank::mcaches};
  std::uint32_t epoch HEDDLE_GUARDED_BY(lock) = 0;
  span_queue partial HEDDLE_GUARDED_BY(lock);  ///< as the sweep has left them; blocks are free
  span_queue full HEDDLE_GUARDED_BY(lock);     ///< as the sweep has left them; none is
  /// The same, but they have new blocks: threads have taken some since, or did during the cycle.
  span_queue used_partial HEDDLE_GUARDED_BY(lock);
  span_queue used_full HEDDLE_GUARDED_BY(lock);
  span_queue unswept HEDDLE_GUARDED_BY(lock);  ///< those that had free blocks come first
  span* all HEDDLE_GUARDED_BY(lock) = nullptr;
  std::size_t spans HEDDLE_GUARDED_BY(lock) = 0;
  std::size_t bytes HEDDLE_GUARDED_BY(lock) = 0;  ///< of all spans
  atomic<std::size_t> live{
      0};  ///< bytes of blocks that the last sweep has left; where it has not come to, the one before
  atomic<std::size_t> live_objects{0};  ///< the blocks themselves
};

/// The contents of the spans of a kind.
struct kind_figures {
  std::size_t objects = 0;     ///< left by the last sweep
  std::size_t live_bytes = 0;  ///< of their blocks
  std::size_t span_bytes = 0;  ///< now, of all spans
};

/// The collected heap. From any thread; takes locks of the allocator.
class heap {
 public:
  constexpr heap() noexcept = default;

  /// The number of cycles whose marks are final.
  std::uint32_t epoch() const noexcept { return epoch_.load(std::memory_order_relaxed); }
  /// A cycle begins to mark. Called by the collector when no span is unswept and no mutator is armed. `generational`:
  /// its marks stay when spans are swept, but for those of blocks that are taken from now on.
  void begin_marking(bool generational) noexcept {
    marking_.store(epoch(), std::memory_order_relaxed);
    bears_.store(generational, std::memory_order_relaxed);
  }
  /// Whether blocks that are taken in this cycle, or were in the last one, are born.
  bool bears() const noexcept { return bears_.load(std::memory_order_relaxed); }
  /// The marks of the cycle are final: from now on they tell which blocks live. Mutators are still armed. `young`:
  /// whether what was marked before the cycle has stayed so. `stay`: the marks stay when spans are swept.
  void begin_sweep(bool young, bool stay) noexcept;
  /// Whether a block that an armed mutator takes from s must be marked. Not if s has been swept since the marks were
  /// final: then marks are of the next cycle.
  bool wants_marks(const span& s) const noexcept {
    return s.swept == marking_.load(std::memory_order_relaxed) || HEDDLE_PLANTED(gc_marks_swept_spans);
  }

  /// Marks blocks, by the bits of a word, that an armed mutator has at hand.
  void blacken(const span& s, std::size_t w, std::uint64_t blocks) const noexcept;

  /// A span with free blocks, swept, for a cache. Null: no memory.
  span* take(const kind& k) noexcept;
  /// A large object's span, of so many bytes; its block is allocated. Null: no memory.
  span* make_large(const kind& k, std::size_t bytes, bool& zeroed) noexcept;
  /// Takes back a span that take() has given; its bits of allocated blocks are exact.
  void give(span& s) noexcept;
  void give_large(span& s) noexcept { give(s); }

  /// Sweeps an unswept span of the kind; false: there is none.
  bool sweep_one(const kind& k) noexcept;
  /// f(span&) for all of the kind. The lock of its central is held meanwhile.
  template <class F>
  void for_each_span(const kind& k, F f) noexcept {
    central& c = of(k);
    const heddle::detail::thread_lock hold(c.lock);
    for (span* s = c.all; s != nullptr; s = s->next_of_kind) f(*s);
  }
  kind_figures figures(const kind& k) noexcept {
    central& c = of(k);
    const heddle::detail::thread_lock hold(c.lock);
    return {c.live_objects.load(std::memory_order_relaxed), c.live.load(std::memory_order_relaxed), c.bytes};
  }
  central& of(const kind& k) noexcept { return centrals_[k.number]; }
  /// A kind with this number begins.
  void begin_kind(kind_number number) noexcept;
  /// `poisons`: dead blocks are filled with 0xdb when they are swept, so that a use of them is seen.
  /// `one_by_one`: caches get a block at a time.
  bool begin(bool poisons, bool one_by_one) noexcept;
  bool gives_one_by_one() const noexcept { return one_by_one_; }

  std::size_t in_spans() const noexcept { return in_spans_.load(std::memory_order_relaxed); }
  std::size_t live() const noexcept { return live_.load(std::memory_order_relaxed); }

 private:
  span* make(const kind& k, std::size_t pages, bool& zeroed) noexcept;
  /// Returns how many blocks live.
  std::size_t sweep(span& s, central& c) noexcept;
  void file(span& s, central& c, std::size_t live) noexcept;
  void turn(central& c) noexcept HEDDLE_REQUIRES(c.lock);
  void free(span& s, central& c) noexcept;

  central* centrals_ = nullptr;
  bool poisons_ = false;
  bool one_by_one_ = false;
  atomic<bool> young_{false};  // the last cycle was: changes with the epoch
  atomic<bool> stay_{false};   // marks do when they are swept: changes with the epoch
  atomic<bool> bears_{false};  // blocks that are taken while the collector marks are born: changes before it does
  atomic<std::uint32_t> epoch_{0};
  atomic<std::uint32_t> marking_{0};  // the epoch in which the present cycle, or the last one, has marked
  atomic<std::size_t> in_spans_{0};
  atomic<std::size_t> live_{0};
};

extern constinit heap the_heap;

}  // namespace heddle::gc::detail
