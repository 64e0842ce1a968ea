// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "heddle/detail/thread_mutex.hpp"

namespace heddle::detail {

/// Large blocks where every call is checked: each in a mapping of its own, ending where a page begins that cannot be
/// touched. Between the block and that page are fewer bytes than its alignment, and before it less than a page: a
/// canary fills them. When it is freed its memory goes back at once; its addresses cannot be touched from then on, and
/// stay so for a while. From any thread; O(1), beside the kernel's work.
class guarded_blocks {
 public:
  constexpr guarded_blocks() noexcept = default;

  /// Zeroed. Null: no memory.
  void* allocate(std::size_t alignment, std::size_t size) noexcept;
  std::size_t size_of(const void* p, const char* what) noexcept { return in_use(p, what).size; }
  std::size_t alignment_of(const void* p, const char* what) noexcept { return in_use(p, what).alignment; }
  void deallocate(void* p, const char* what) noexcept;
  /// Looks at all blocks.
  void check() noexcept;
  /// For one who has touched `at` and must not: ends the process if that is because of one of these blocks. To be
  /// called in a handler of SIGSEGV.
  void report_touched(const void* at) noexcept;

  /// Gives back the addresses that are kept out of use, for a caller that gets none. False: there are none.
  bool release_all() noexcept;

  /// Of blocks in use, in whole pages.
  std::size_t bytes_in_use() noexcept;

  thread_mutex& lock() noexcept { return lock_; }  // for fork

 private:
  struct block {
    char* start;
    std::size_t size, alignment;  ///< that were asked for
    char* map;                    ///< all of the mapping, with the pages around
    std::size_t mapped;
    char* body;  ///< the part that can be touched
    std::size_t body_bytes;
    block* next;     ///< in its bucket, or among records without use
    block* younger;  ///< in the quarantine
    bool freed;

    const char* find_damage() const noexcept;
  };
  static constexpr std::size_t buckets = 4096;
  static constexpr std::size_t quarantine_most = 1024;
  static constexpr std::size_t quarantine_bytes = std::size_t{1} << 30;  ///< of address space; less if that is limited
  /// A block makes the kernel two mappings more, of which a process may have 65,530: from here on they lack the pages
  /// around them.
  static constexpr std::size_t most_guarded = 12'000;

  bool map(block& b) noexcept;
  /// The block at p; ends the process if there is none.
  block in_use(const void* p, const char* what) noexcept;
  /// The block in whose mapping p lies; without a start: none.
  block containing(const void* p) const noexcept HEDDLE_REQUIRES(lock_);
  block** find(const void* p) noexcept HEDDLE_REQUIRES(lock_);
  block* make_record() noexcept HEDDLE_REQUIRES(lock_);
  void drop_record(block& b) noexcept HEDDLE_REQUIRES(lock_);
  void quarantine(block& b) noexcept;
  bool quarantine_is_full() noexcept;
  bool release_oldest() noexcept;
  [[noreturn]] void report(const void* p, const char* what) noexcept;
  [[noreturn]] static void report_written(const block& b, const char* at) noexcept;

  thread_mutex lock_{lock_rank::checks};
  std::array<block*, buckets> table_ HEDDLE_GUARDED_BY(lock_){};
  block* unused_ HEDDLE_GUARDED_BY(lock_) = nullptr;
  block* oldest_ HEDDLE_GUARDED_BY(lock_) = nullptr;
  block* youngest_ HEDDLE_GUARDED_BY(lock_) = nullptr;
  std::size_t quarantined_ HEDDLE_GUARDED_BY(lock_) = 0;
  std::size_t quarantined_bytes_ HEDDLE_GUARDED_BY(lock_) = 0;
  std::size_t count_ HEDDLE_GUARDED_BY(lock_) = 0;
  std::size_t bytes_in_use_ HEDDLE_GUARDED_BY(lock_) = 0;
};

extern guarded_blocks the_guarded_blocks;

}  // namespace heddle::detail
