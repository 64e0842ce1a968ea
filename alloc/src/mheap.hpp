// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "address_map.hpp"
#include "heddle/detail/thread_mutex.hpp"
#include "page_allocator.hpp"
#include "span.hpp"
#include "span_records.hpp"

namespace heddle::detail {

/// A block that has a mapping of its own, outside of the window.
struct huge_block {
  char* start;
  std::size_t bytes;  ///< mapped
  huge_block* next;
};

/// What the heap holds, in bytes.
struct mheap_figures {
  std::size_t mapped = 0;         ///< address space of the windows
  std::size_t in_spans = 0;       ///< pages of spans
  std::size_t idle_resident = 0;  ///< free pages that still have memory
  std::size_t huge = 0;           ///< blocks with mappings of their own
  std::size_t records = 0;        ///< what is written about all that
  std::size_t released = 0;       ///< ever given back to the kernel
};

/// The pages of the process: makes spans of them, takes them back, gives what is left over back to the kernel. And the
/// blocks that are too large for that. From any thread; no function blocks for longer than page tables take to change.
class mheap {
 public:
  static constexpr std::size_t huge_limit = std::size_t{32} << 20;  ///< from here on blocks are mapped one by one

  constexpr mheap() noexcept = default;

  /// A span of this class, or with the class `class_count` of one large block, all of it free. Null: no memory.
  /// `align`: of its start, a power of two of at least a page.
  span* make_span(size_class klass, std::size_t pages, std::size_t align = page_size,
                  span_kind kind = span_kind::manual) noexcept;
  /// Nobody has it, no block of it is in use, and nobody else may still touch its record.
  void free_span(span& s, bool backed = true) noexcept;
  /// Adds pages to a large span, if those behind it are free; or takes its last ones away.
  bool resize(span& s, std::size_t pages) noexcept;

  void* make_huge(std::size_t bytes, std::size_t align) noexcept;
  /// The size of the huge block that begins at p, or 0.
  std::size_t huge_size(const void* p) noexcept;
  /// False: no huge block begins at p.
  bool free_huge(void* p) noexcept;
  /// Another size, perhaps elsewhere. Null: no memory, and it is as before.
  void* resize_huge(void* p, std::size_t bytes) noexcept;

  /// Makes a huge block of a large span that shall have `bytes`, more than it has: its pages move, and the span is
  /// gone. Null: it cannot be done, and nothing has changed.
  void* move_to_huge(span& s, std::size_t bytes) noexcept;

  /// Memory for records, zeroed, never freed. Null: none left.
  void* make_record(std::size_t bytes) noexcept;

  /// Gives back free pages that nobody has asked for since `round`, at most `bytes` and the rest of the last run.
  /// Returns how many bytes. `along`: where to begin; becomes where to go on.
  std::size_t release(std::uint32_t round, std::size_t bytes, page_walk& along) noexcept;
  std::size_t release(std::uint32_t round, std::size_t bytes) noexcept {
    page_walk along;
    return release(round, bytes, along);
  }
  /// Memory that is freed from now on counts as freed in this round.
  void set_round(std::uint32_t r) noexcept;
  /// Makes free pages of kept spans: of so many at most. False: nothing is left.
  bool drop_kept(std::size_t most) noexcept;
  mheap_figures figures() noexcept;

  /// On spans, free pages with memory and huge blocks together, in bytes; 0: none.
  void set_limit(std::size_t bytes) noexcept { limit_.store(bytes - 1, std::memory_order_relaxed); }
  std::size_t limit() const noexcept { return limit_.load(std::memory_order_relaxed) + 1; }
  /// f(span&) for each record of a span, in use or not; those that are made meanwhile are perhaps among them.
  template <class F>
  void for_each_span(F f) noexcept {
    for (std::size_t i = 0; i != span_records::most_runs; ++i) {
      const span_records::run r = run_of_spans(i);
      for (std::size_t n = r.first; n != r.last; ++n)
        if (n != 0) f(the_map.spans[n]);
    }
  }

  thread_mutex& lock() noexcept { return lock_; }  // for fork

 private:
  span* try_make_span(size_class klass, std::size_t pages, std::size_t align, span_kind kind,
                      std::size_t& fresh) noexcept;
  bool admit_huge(std::size_t bytes) noexcept;
  void dismiss_huge(std::size_t bytes) noexcept;
  bool try_resize(span& s, std::size_t pages, std::size_t& fresh) noexcept;
  bool fits(std::size_t bytes) const noexcept HEDDLE_REQUIRES(lock_);
  void trim_to_limit() noexcept;
  void make_up_for(std::size_t fresh) noexcept;
  bool grow(std::size_t pages) noexcept HEDDLE_REQUIRES(lock_);
  bool add_pages(std::size_t pages) noexcept HEDDLE_REQUIRES(lock_);
  span_records::run run_of_spans(std::size_t i) noexcept;
  void* bump(std::size_t bytes) noexcept HEDDLE_REQUIRES(lock_);
  std::size_t take_pages(std::size_t pages, std::size_t align, std::size_t& fresh) noexcept HEDDLE_REQUIRES(lock_);
  void map_span(const span& s, std::uint32_t number) noexcept HEDDLE_REQUIRES(lock_);
  void map_pages(const span& s, std::uint32_t number) noexcept HEDDLE_REQUIRES(lock_);
  void give_pages(span& s, bool backed) noexcept HEDDLE_REQUIRES(lock_);
  bool keep(span& s) noexcept HEDDLE_REQUIRES(lock_);
  span* take_kept(size_class klass, std::size_t pages) noexcept HEDDLE_REQUIRES(lock_);
  void drop_kept_large_one() noexcept HEDDLE_REQUIRES(lock_);
  void drop_kept_large() noexcept HEDDLE_REQUIRES(lock_);
  std::size_t drop_kept_of_classes(std::size_t most = ~std::size_t{0}) noexcept HEDDLE_REQUIRES(lock_);
  void drop_all_kept() noexcept HEDDLE_REQUIRES(lock_);
  huge_block* make_huge_record() noexcept;
  void free_huge_record(huge_block& h) noexcept;
  void list_huge(huge_block& h, char* start, std::size_t bytes) noexcept;
  huge_block** find_huge(const void* p) noexcept HEDDLE_REQUIRES(lock_);

  static constexpr std::size_t huge_buckets = 64;
  static constexpr std::size_t most_kept_large_pages = huge_limit >> page_shift;

  thread_mutex lock_{lock_rank::mheap};
  page_allocator pages_ HEDDLE_GUARDED_BY(lock_);
  span_records records_ HEDDLE_GUARDED_BY(lock_);
  span* kept_[class_count] HEDDLE_GUARDED_BY(lock_) = {};  // lists, by span::next
  span* kept_large_[4] HEDDLE_GUARDED_BY(lock_) = {};
  std::size_t kept_large_count_ HEDDLE_GUARDED_BY(lock_) = 0;
  std::size_t kept_large_pages_ HEDDLE_GUARDED_BY(lock_) = 0;
  std::size_t kept_pages_ HEDDLE_GUARDED_BY(lock_) = 0;  // of all
  huge_block* free_huge_records_ HEDDLE_GUARDED_BY(lock_) = nullptr;
  huge_block* huge_[huge_buckets] HEDDLE_GUARDED_BY(lock_) = {};
  std::size_t huge_count_ HEDDLE_GUARDED_BY(lock_) = 0;
  char* bump_ HEDDLE_GUARDED_BY(lock_) = nullptr;
  std::size_t bump_left_ HEDDLE_GUARDED_BY(lock_) = 0;
  mheap_figures figures_ HEDDLE_GUARDED_BY(lock_);
  atomic<std::size_t> limit_{~std::size_t{0}};  // one less, so that 0 is the highest there is
};

extern mheap the_mheap;

}  // namespace heddle::detail
