// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <cstddef>
#include <memory>

#include "timer_entry.hpp"

namespace heddle::detail {

/// Timers that lie ahead, by the millisecond, in no order within one: to add one is a store, where a heap of a million
/// has ten levels to go through, most of them far from the processor. Not thread-safe: a part of timer_heap.
///
/// 1. Bucket k of the ring has what is due in the k-th millisecond of the clock, modulo their number; those that are in
///    use begin with `first_`. Numbers are compared, not times, which could be too large to be computed with.
/// 2. `index` of a timer that others may remove is the address of its entry, marked.
///
/// Sources: calendar queues (R. Brown, 1988); timing wheels (G. Varghese, T. Lauck, 1987).
class timer_buckets {
 public:
  timer_buckets() noexcept = default;
  timer_buckets(const timer_buckets&) = delete;
  timer_buckets& operator=(const timer_buckets&) = delete;
  ~timer_buckets();

  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  /// Whether a deadline lies before all that there are.
  bool comes_first(nanoseconds_t deadline) const noexcept { return deadline / width < first_; }
  /// Whether there is a bucket for it.
  bool takes(nanoseconds_t deadline) const noexcept {
    return !comes_first(deadline) && deadline / width - first_ < static_cast<nanoseconds_t>(buckets);
  }
  /// While it is empty: begins with the bucket behind that deadline.
  void begin_behind(nanoseconds_t deadline) noexcept { first_ = deadline / width + 1; }
  /// Adds one that takes() has accepted. Throws std::bad_alloc.
  void add(timer_entry e);
  /// Whether the timer is in a bucket.
  static bool holds(const timer& t) noexcept { return t.index != timer::absent && (t.index & in_bucket) != 0; }
  void remove(timer& t) noexcept;
  /// Takes all out of the first bucket that has any, and calls f with each.
  template <class F>
  void take_first(F f);
  template <class F>
  bool any_of(F f) const noexcept;

 private:
#if defined(HEDDLE_MODEL) && HEDDLE_MODEL
  static constexpr std::size_t buckets = 8, of_chunk = 2, of_slab = 2;
#else
  static constexpr std::size_t buckets = 2048, of_chunk = 31, of_slab = 64;
#endif
  static constexpr nanoseconds_t width = 1'000'000;
  static constexpr std::size_t in_bucket = ~(~std::size_t{0} >> 1);

  struct chunk {
    chunk* next;
    std::size_t count;
    std::array<timer_entry, of_chunk> entries;
  };
  struct slab {
    slab* next;
    std::array<chunk, of_slab> chunks;
  };

  chunk*& bucket_of(nanoseconds_t number) const noexcept { return heads_[static_cast<std::size_t>(number) % buckets]; }
  void put(timer_entry& at, timer_entry e) noexcept {
    at = e;
    if (!e.is_sleep()) e.get().index = reinterpret_cast<std::uintptr_t>(&at) | in_bucket;
  }
  void allocate();
  void free(chunk& c) noexcept {
    c.next = free_;
    free_ = &c;
  }

  std::unique_ptr<chunk*[]> heads_;  // the newest chunk of each bucket, the others are full
  nanoseconds_t first_ = 0;
  std::size_t size_ = 0;
  chunk* free_ = nullptr;
  slab* slabs_ = nullptr;
};

template <class F>
void timer_buckets::take_first(F f) {
  while (bucket_of(first_) == nullptr) ++first_;
  chunk* c = bucket_of(first_);
  bucket_of(first_) = nullptr;
  ++first_;
  while (c != nullptr) {
    chunk* const next = c->next;
    if (next != nullptr) __builtin_prefetch(next);
    size_ -= c->count;
    for (std::size_t i = 0; i != c->count; ++i) f(c->entries[i]);
    free(*c);
    c = next;
  }
}

template <class F>
bool timer_buckets::any_of(F f) const noexcept {
  if (empty()) return false;
  for (std::size_t i = 0; i != buckets; ++i)
    for (const chunk* c = heads_[i]; c != nullptr; c = c->next)
      for (std::size_t k = 0; k != c->count; ++k)
        if (f(c->entries[k])) return true;
  return false;
}

}  // namespace heddle::detail
