// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "heddle/detail/thread_mutex.hpp"

namespace heddle::detail {

/// Blocks of 0 bytes where every call is checked: addresses that differ and cannot be touched. From any thread.
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
  static constexpr std::size_t most = std::size_t{1} << 20;
  static constexpr std::size_t words = most / 64;

  bool reserve() noexcept HEDDLE_REQUIRES(lock_);
  /// The number of the one that p is, or `most`.
  std::size_t number_of(const void* p) const noexcept;

  thread_mutex lock_{lock_rank::checks};
  atomic<char*> base_{nullptr};  ///< written once
  std::uint64_t* used_ HEDDLE_GUARDED_BY(lock_) = nullptr;
  std::size_t next_ HEDDLE_GUARDED_BY(lock_) = 0;  ///< the word to be looked at first: round and round, so that an
                                                   ///< address stays out of use for long
};

extern untouchable_blocks the_untouchable_blocks;

}  // namespace heddle::detail
