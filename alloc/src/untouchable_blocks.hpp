// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "heddle/detail/thread_mutex.hpp"

namespace heddle::detail {

/// Blocks of 0 bytes where every call is checked: addresses that differ and cannot be touched, a MiB of them at first,
/// and one more whenever half are in use. From any thread.
class untouchable_blocks {
 public:
  constexpr untouchable_blocks() noexcept = default;

  /// Null: there is no more address space for them.
  void* allocate() noexcept;
  /// Whether p lies among them.
  bool contains(const void* p) noexcept;
  /// Ends the process if p is not one of them and in use.
  void check(const void* p, const char* what) noexcept;
  void deallocate(void* p, const char* what) noexcept;

  thread_mutex& lock() noexcept { return lock_; }  // for fork

 private:
  static constexpr std::size_t per_part = std::size_t{1} << 16;
  static constexpr std::size_t words_per_part = per_part / 64;
  static constexpr std::size_t most_parts = 16;
  static constexpr std::size_t none = ~std::size_t{0};

  bool add_part() noexcept HEDDLE_REQUIRES(lock_);
  std::uint64_t& word(std::size_t i) noexcept HEDDLE_REQUIRES(lock_) {
    return used_[i / words_per_part][i % words_per_part];
  }
  /// The number of the block at p, or `none`.
  std::size_t number_of(const void* p) const noexcept;

  thread_mutex lock_{lock_rank::checks};
  std::array<atomic<char*>, most_parts> bases_{};  ///< each written once, one after the other
  std::array<std::uint64_t*, most_parts> used_ HEDDLE_GUARDED_BY(lock_){};
  std::size_t parts_ HEDDLE_GUARDED_BY(lock_) = 0;
  std::size_t in_use_ HEDDLE_GUARDED_BY(lock_) = 0;
  std::size_t next_ HEDDLE_GUARDED_BY(lock_) = 0;  ///< the word to be looked at first: round and round, so that an
                                                   ///< address stays out of use for long
};

extern untouchable_blocks the_untouchable_blocks;

}  // namespace heddle::detail
