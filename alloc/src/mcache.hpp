// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "fork_gate.hpp"
#include "heap_profile.hpp"
#include "heddle/detail/thread_mutex.hpp"
#include "magazine.hpp"
#include "mheap.hpp"
#include "span.hpp"

namespace heddle::detail {

struct cache_feeds;

/// What a thread allocates from, and frees into. For each class: a magazine; behind that one active span whose blocks
/// it hands out; and those of its spans in which blocks have become free since. Used by one at a time; only `returned`
/// is written by others. All its blocks are of one kind. A cache of a collected kind has no magazines: what a sweeper
/// frees goes to the spans, where others find it.
///
/// What is too much for the magazines goes back to the spans. A block of another owner's span goes into a batch for
/// that span first, and with the batch to the span: one locked operation for many blocks. A span in which few blocks
/// are left in use is given up (see mcentral), so what nobody needs any more does not stay with a thread that sleeps.
class mcache {
 public:
  constexpr explicit mcache(block_list* nothing) noexcept {
    for (block_list*& l : slots_) l = nothing;  // and its magazines are full, since they have no room
    for (block_list*& l : lists_) l = nothing;
  }
  explicit mcache(span_kind kind) noexcept;

  /// From which a block of this size may be popped, as far as the list goes. O(1).
  block_list& small_slot(std::size_t size) const noexcept { return *seen_slot(grains_of(size)); }
  /// The same by class.
  block_list& short_slot(size_class c) const noexcept { return *seen_slot(slot_of(c)); }
  /// The list of the class, also where the short paths do not see it; see knock().
  block_list& slot(size_class c) const noexcept { return *lists_[c]; }
  /// Has the short paths find an empty list in each slot, so that the next call for each class takes the long one. Any
  /// thread, while the owner works. O(classes).
  void knock() noexcept;
  /// The owner has come by: gives the slot its list back, and watches the calls for this class while memory waits.
  void answer_knock(size_class c) noexcept;

  /// A block of the class when the slot's list is empty; null: no memory. O(1) beside the kernel's work.
  void* refill(size_class c) noexcept;
  /// A block of `size` bytes has been allocated that is of no class: perhaps it is a sample for the heap profile.
  void count_large(const void* p, std::size_t size) noexcept;
  /// The heap profile has begun: from now on, not only from the next refill on.
  void begin_sampling() noexcept;
  /// Memory waits to be given back: the next call for each class shall not take the short path.
  void watch_calls() noexcept;
  /// Where a block is freed whose page has this tag (see address_map), unless it is full. Always full: that of tag 0.
  magazine& magazine_of(std::size_t tag) noexcept {
    static_assert(sizeof(magazine) == tag_step);
    return *reinterpret_cast<magazine*>(reinterpret_cast<char*>(magazines_.data()) + tag);
  }
  /// Frees a block that goes into a span of this cache's and nowhere else, as blocks do for which there are no
  /// magazines; it touches nothing that others use. False: more is to be done, or p is not right; nothing has been
  /// done. O(1).
  bool free_at_once(span& s, void* p) noexcept {
    auto* const block = static_cast<free_block*>(p);
    if (s.owner.load(std::memory_order_relaxed) != this || magazines_[s.klass + 1u].base != 0 || s.live == 1 ||
        block == s.free || !s.begins_manual_block(p))
      return false;
    block->next = s.free;
    s.free = block;
    --s.live;
    return true;
  }
  /// Frees a block of a span of a class when the magazine is full. O(1) amortised.
  void free_behind(span& s, void* p) noexcept;
  /// Puts a block back into its span, or into a batch for that.
  void put_back(span& s, void* p) noexcept;
  /// Sends to their spans what is in magazines and batches. O(blocks).
  void flush() noexcept;
  /// Gives up all that it has, but for full spans, of which the cache hears when others free a block. O(spans).
  void drain() noexcept;
  /// Takes back the spans of which others have told it.
  void collect_returned() noexcept;
  bool has_returned() const noexcept { return returned_.load(std::memory_order_relaxed) != nullptr; }

  span_kind kind() const noexcept { return kind_; }

  using class_counts = std::array<std::uint32_t, class_count>;
  /// How many blocks of each class have been freed and are not back in their spans: in magazines and batches. Any
  /// thread; numbers of different moments if the cache is in use. O(classes).
  class_counts count_waiting() const noexcept;

  mcache* next = nullptr;       ///< in the pool
  mcache* next_made = nullptr;  ///< among all
  atomic<bool> pooled{false};   ///< nobody uses it; written under the pool's lock
  fork_gate::mark work{0};      ///< of the thread whose cache it is, if that is to be seen

 private:
  /// The magazine that is not used, full or empty.
  struct spare {
    free_block* first = nullptr;
    std::uint32_t count = 0;
    std::uint32_t spilled = 0;  ///< blocks that went back to spans since the magazines ran dry
  };
  /// Blocks on their way to a span, all of one region of it. How many they may be is bounded by number and by bytes.
  /// What it says of the span is a copy: the span's record is in use by others.
  struct batch {
    span* of = nullptr;
    const char* start = nullptr;  ///< of the first block that can be in it
    divisor by_size;
    std::array<std::uint64_t, 2> blocks{};  ///< bit i of the n-th: block 64 n + i from `start` on
    std::uint32_t most = 0;                 ///< how many blocks there are from `start` on that can be in it
    std::uint32_t bytes = 0;                ///< their length
    std::uint32_t left = 0;                 ///< until it is sent
    std::uint32_t limit = 0;                ///< what `left` was

    /// Whether p lies in the region, if that is p's span still.
    bool covers(const void* p) const noexcept {
      return static_cast<std::size_t>(static_cast<const char*>(p) - start) < bytes;
    }
  };
  static constexpr std::size_t batches = 128;
  static constexpr std::uint32_t most_in_batch = 64;
  static constexpr std::size_t most_bytes_in_batch = std::size_t{4} << 10;
  static constexpr std::size_t small_slots = small_limit / grain + 1;
  static constexpr std::size_t small_classes = size_classes::small_table.back() + 1;

  static constexpr std::size_t slot_of(size_class c) noexcept {
    return c < small_classes ? class_info[c].size / grain : small_slots + c - small_classes;
  }

  // Relaxed: another thread writes one value only, the address of a list that is always empty and never changes.
  block_list* seen_slot(std::size_t i) const noexcept { return __atomic_load_n(&slots_[i], __ATOMIC_RELAXED); }
  void write_slot(std::size_t i, block_list& l) noexcept { __atomic_store_n(&slots_[i], &l, __ATOMIC_RELAXED); }
  void set_slot(size_class c, block_list& l) noexcept;
  void* refill_unfed(size_class c) noexcept;
  void* refill_from_spans(size_class c) noexcept;
  bool replenish(span& s) noexcept;
  bool set_aside(span& s) noexcept;
  span* find(size_class c) noexcept;

  void free_past_magazine(size_class c, void* p) noexcept;
  bool load_spare(size_class c) noexcept;
  void resize_magazine(size_class c, std::uint32_t room) noexcept;
  void spill(size_class c, free_block* first) noexcept;
  void empty_magazines(size_class c) noexcept;

  void look_at(span& s) noexcept;
  void become_partial(span& s) noexcept;
  void give_up(span& s) noexcept;
  void arm(span& s, std::uint32_t in_use) noexcept;
  void take_notice(span& s) noexcept;

  free_block* put_back_run(span& s, free_block*& b) noexcept;
  static bool add_to_batch(batch& to, void* p) noexcept;
  batch& batch_for(const span& s, size_class c, const void* p) noexcept;
  void put_into_batch(span& s, void* p) noexcept;
  static void begin(batch& b, span& s, const void* p) noexcept;
  static void send(batch& b) noexcept;
  /// Whether of its blocks only one may be on its way at a time.
  static bool goes_alone(const span& s) noexcept { return s.size > most_bytes_in_batch / 2; }
  static void send_alone(span& s, void* p) noexcept;
  static void hand_over(span& s, remote_block& first, remote_block& last, std::uint32_t count) noexcept;
  static void notify(span& s) noexcept;

  bool make_feeds() noexcept;
  void* refill_sampled(size_class c) noexcept;
  void end_feeding() noexcept;
  void watch_call(size_class c) noexcept;
  void space_calls(size_class c) noexcept;
  void space_calls_of_magazine(size_class c) noexcept;
  void add_spare(size_class c) noexcept;
  void feed_slot(size_class c, std::uint64_t most, std::size_t sampled_size) noexcept;
  void unfeed(size_class c) noexcept;
  void unfeed_slot(size_class c) noexcept;
  void allocate_from_magazine(size_class c) noexcept;

  bool can_sample() noexcept;
  std::uint64_t blocks_to_sample(size_class c) const noexcept;
  void pass_by_sample(size_class c) noexcept;
  void* sample_if_due(size_class c) noexcept;
  void* make_sample(size_class c) noexcept;

  std::array<block_list*, small_slots + class_count - small_classes> slots_{};  ///< what the short paths read
  std::array<block_list*, class_count> lists_{};                                ///< what the owner has put there
  std::array<magazine, class_count + 1> magazines_{};                           ///< by tag / tag_step
  std::array<span*, class_count> active_{};
  std::array<spare, class_count> spares_{};
  std::array<span_list, class_count> partial_{};
  std::array<batch, batches> batches_{};
  span_kind kind_ = span_kind::manual;
  cache_feeds* feeds_ = nullptr;  ///< made when they are needed first, and then kept
  alignas(64) atomic<span*> returned_{nullptr};
};

/// The caches that no thread uses: those of threads that have ended. Their full spans stay with them.
class mcache_pool {
 public:
  constexpr mcache_pool() noexcept = default;
  /// One of them or a new one; null: no memory.
  mcache* take(span_kind kind = span_kind::manual) noexcept;
  /// Gives up what it has.
  void give(mcache& c) noexcept;
  /// Collects what others have freed in spans of this one, unless somebody uses it.
  void reclaim(mcache& c) noexcept;
  /// The same for all.
  void reclaim_all() noexcept;
  /// The same for the first that has something to collect. False: none has.
  bool reclaim_one() noexcept;
  /// Knocks at each cache, used or not. Any thread. O(caches).
  void knock() noexcept;
  thread_mutex& lock() noexcept { return lock_; }  // for fork
  /// Calls f with each cache that there is, used or not. Any thread.
  template <class F>
  void for_each(F f) const noexcept {
    // acquire: so that it is seen as it was made; release half in take().
    for (const mcache* c = all_.load(std::memory_order_acquire); c != nullptr; c = c->next_made) f(*c);
  }
  /// The same, but f may change the caches: where no other thread is at work, or f only waits for that.
  template <class F>
  void for_each_mutable(F f) noexcept {
    // acquire: so that a cache which a thread makes meanwhile is seen as it was made; release half in take().
    for (mcache* c = all_.load(std::memory_order_acquire); c != nullptr; c = c->next_made) f(*c);
  }
  /// How many caches there are, and how many of them are in the pool.
  std::size_t made() const noexcept {
    std::size_t all = 0;
    for (const atomic<std::size_t>& n : made_) all += n.load(std::memory_order_relaxed);
    return all;
  }
  /// Whether there have been caches of a kind, and so perhaps spans in its mcentrals. Changes under the lock.
  bool serves(span_kind kind) const noexcept { return made_[index(kind)].load(std::memory_order_relaxed) != 0; }
  std::size_t pooled() const noexcept { return pooled_.load(std::memory_order_relaxed); }

 private:
  static constexpr std::size_t index(span_kind kind) noexcept { return static_cast<std::size_t>(kind); }

  thread_mutex lock_{lock_rank::mcaches};
  std::array<mcache*, span_kinds> first_ HEDDLE_GUARDED_BY(lock_){};
  atomic<mcache*> all_{nullptr};
  std::array<atomic<std::size_t>, span_kinds> made_{};
  atomic<std::size_t> pooled_{0};
};

extern mcache_pool the_mcache_pool;

}  // namespace heddle::detail
