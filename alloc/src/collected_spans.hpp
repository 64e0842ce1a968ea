// SPDX-License-Identifier: BSL-1.0
//
// From any address to the collected block that it lies in: what a collector asks for each word that may be a pointer.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "heddle/detail/thread_mutex.hpp"
#include "mheap.hpp"
#include "span.hpp"

namespace heddle::detail {

class collected_span;

/// The bits that a program's addresses have.
inline constexpr unsigned address_bits = 47;

/// A block in use of a collected kind.
struct collected_block {
  char* start = nullptr;  ///< null: there is none
  std::size_t size = 0;   ///< large: in whole pages
  collected_span* in = nullptr;
};

/// What may be read of a span of a collected kind by anybody at any time: where it lies, and which of its blocks are in
/// use. It stands apart from the span's record and is never freed: when the span is gone it serves another of the same
/// span class, so what is constant here is constant for ever. Invariants:
/// 1. `life_` counts how often a span has begun and ended; odd: there is one. Above that, its address in pages.
///    So who reads the same life before and after the rest has read of one span.
/// 2. A bit is set from when its block is allocated until it is freed, which clears it before the block can be
///    allocated again. Without a span no bit is set.
///
/// Source: Go's mspan for the bits; Linux's seqlock for the two looks at `life_`.
class collected_span {
 public:
  collected_span(span_kind kind, size_class klass, collected_span* next) noexcept;
  /// How much memory one needs, with its bits.
  static constexpr std::size_t bytes_for(size_class klass) noexcept {
    return sizeof(collected_span) + words_for(capacity_of(klass)) * sizeof(atomic<std::uint64_t>);
  }
  static constexpr std::size_t capacity_of(size_class klass) noexcept {
    return klass == class_count ? 1 : class_info[klass].capacity;
  }

  const span_kind kind;
  const size_class klass;  ///< or class_count, as of its span
  const std::uint16_t capacity;
  collected_span* const next;             ///< in the list of all
  collected_span* next_unused = nullptr;  ///< among those without a span

  // For who knows that the span stays, because a block of it does.
  char* start() const noexcept { return start_in(life_.load(std::memory_order_relaxed)); }
  std::size_t block_size() const noexcept {
    return klass == class_count ? bytes_.load(std::memory_order_relaxed) : class_info[klass].size;
  }
  std::size_t index_of(const void* p) const noexcept {
    return by_size_.quotient(static_cast<std::size_t>(static_cast<const char*>(p) - start()));
  }

  /// Whether there is a span just now.
  bool lives() const noexcept { return lives(life_.load(std::memory_order_relaxed)); }
  bool is_in_use(std::size_t index) const noexcept {
    // acquire: so that the life is seen in which the block was allocated; release half in set_in_use().
    return (word(index).load(std::memory_order_acquire) >> index % 64 & 1) != 0;
  }
  /// The block in use that p lies in; none if the span ends meanwhile. O(1), under no lock.
  collected_block find(const void* p) noexcept;
  void set_in_use(std::size_t index) noexcept {
    // release: so that who sees the bit sees the life too; acquire half in is_in_use().
    word(index).fetch_or(std::uint64_t{1} << index % 64, HEDDLE_PLANTED(in_use_without_release)
                                                             ? std::memory_order_relaxed
                                                             : std::memory_order_release);
  }
  /// False: it was not.
  bool clear_in_use(std::size_t index) noexcept {
    // relaxed: what hands the block over to who allocates it next orders the two.
    const std::uint64_t bit = std::uint64_t{1} << index % 64;
    return (word(index).fetch_and(~bit, std::memory_order_relaxed) & bit) != 0;
  }

  // Called by one at a time.
  void begin(const void* start, std::size_t pages) noexcept;
  void end() noexcept;

 private:
  static constexpr unsigned life_bits = 64 - (address_bits - page_shift);
  static constexpr std::uint64_t life_mask = (std::uint64_t{1} << life_bits) - 1;
  static constexpr std::size_t words_for(std::size_t capacity) noexcept { return (capacity + 63) / 64; }
  static constexpr bool lives(std::uint64_t life) noexcept { return life % 2 != 0; }
  static char* start_in(std::uint64_t life) noexcept {
    return reinterpret_cast<char*>(static_cast<std::uintptr_t>(life >> life_bits) << page_shift);
  }
  atomic<std::uint64_t>& word(std::size_t index) noexcept {
    return reinterpret_cast<atomic<std::uint64_t>*>(this + 1)[index / 64];
  }
  const atomic<std::uint64_t>& word(std::size_t index) const noexcept {
    return reinterpret_cast<const atomic<std::uint64_t>*>(this + 1)[index / 64];
  }

  const divisor by_size_;  ///< as of its span
  atomic<std::uint64_t> life_{0};
  atomic<std::size_t> bytes_{0};  ///< of the span
};

/// All spans of collected kinds, and the span that each page is of: a table of tables over all addresses. Only tables
/// that have been needed exist. From any thread.
class collected_spans {
 public:
  constexpr collected_spans() noexcept = default;

  /// The mheap has made a span of a collected kind. False: no memory.
  bool add(const span& s) noexcept;
  /// It is about to take it back.
  void remove(const span& s) noexcept;
  /// A block that begins at p, of a collected kind, is in use from now on.
  void set_in_use(const void* p) noexcept;
  /// Before it is freed. False: no collected block in use begins at p.
  bool clear_in_use(const void* p) noexcept;

  /// The collected block in use that p lies in; p may be anything. Exact for who knows, by whatever orders threads,
  /// that the block was allocated or freed before; of what happens meanwhile either is told. O(1), under no lock.
  collected_block find(const void* p) const noexcept {
    collected_span* const s = of(p);
    return s != nullptr ? s->find(p) : collected_block{};
  }
  /// Of the page that p lies in; or null.
  collected_span* of(const void* p) const noexcept {
    const std::size_t page = number_of(p);
    // acquire: so that the tables read as null or as they were written; release halves in reach().
    const leaf* const leaves = leaves_.load(std::memory_order_acquire);
    if (leaves == nullptr || page >= std::size_t{1} << (address_bits - page_shift)) return nullptr;
    const entry* const entries = leaves[page / entries_per_leaf].load(std::memory_order_acquire);
    // acquire: so that what is constant in it is seen; release half in add().
    return entries != nullptr ? entries[page % entries_per_leaf].load(std::memory_order_acquire) : nullptr;
  }
  /// f(collected_span&) for each span of a kind. Those that come or go meanwhile are perhaps among them.
  template <class F>
  void for_each(span_kind kind, F f) const {
    // acquire: so that what is constant in them is seen; release half in make().
    for (collected_span* s = first_.load(std::memory_order_acquire); s != nullptr; s = s->next)
      if (s->kind == kind && s->lives()) f(*s);
  }

  thread_mutex& lock() noexcept { return lock_; }  // for fork

 private:
  /// Not the explorer's, which are larger: these are many.
  using entry = std::atomic<collected_span*>;
  using leaf = std::atomic<entry*>;
  /// A table for 512 MiB of addresses takes half a MiB; the leaves take 2 MiB, little of which is touched.
  static constexpr std::size_t entries_per_leaf = std::size_t{1} << 16;
  static constexpr std::size_t leaf_count = (std::size_t{1} << (address_bits - page_shift)) / entries_per_leaf;

  static std::size_t number_of(const void* p) noexcept { return reinterpret_cast<std::uintptr_t>(p) >> page_shift; }
  /// The entry of p, which lies in a span that has been added.
  entry& entry_of(const void* p) const noexcept {
    // relaxed: the table came to the caller together with the address.
    const leaf* const leaves = leaves_.load(std::memory_order_relaxed);
    return leaves[number_of(p) / entries_per_leaf].load(std::memory_order_relaxed)[number_of(p) % entries_per_leaf];
  }
  collected_span*& unused_for(const span& s) noexcept HEDDLE_REQUIRES(lock_) {
    return unused_[static_cast<std::size_t>(s.kind) - 1][s.klass];
  }
  bool reach(const span& s) noexcept HEDDLE_REQUIRES(lock_);
  collected_span* make(span_kind kind, size_class klass) noexcept HEDDLE_REQUIRES(lock_);

  thread_mutex lock_{lock_rank::mcentral};  // under it only the mheap's is taken
  atomic<leaf*> leaves_{nullptr};           ///< by address
  atomic<collected_span*> first_{nullptr};
  std::array<std::array<collected_span*, class_count + 1>, span_kinds - 1> unused_ HEDDLE_GUARDED_BY(lock_){};
};

extern collected_spans the_collected_spans;

}  // namespace heddle::detail
