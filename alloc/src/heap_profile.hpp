// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "heddle/detail/thread_mutex.hpp"
#include "span.hpp"

namespace heddle::detail {

/// What the samples of one stack and one size add up to. Never freed, so it is read without a lock.
struct profile_bucket {
  static constexpr std::size_t most_frames = 48;
  profile_bucket* next;
  profile_bucket* next_of_hash;
  std::size_t size;  ///< of a block
  std::uint64_t hash;
  std::uint32_t depth;
  atomic<std::size_t> live;
  atomic<std::size_t> allocated;
  void* frames[most_frames];
};

/// A sampled block that is in use.
struct profile_sample {
  profile_sample* next;
  const void* block;
  profile_bucket* bucket;
};

/// The samples of the process: by stack, and those in use by address. Any thread, under no lock of the allocator.
class heap_profile {
 public:
  constexpr heap_profile() noexcept = default;

  bool start(std::size_t interval) noexcept;
  void stop() noexcept { interval_.store(0, std::memory_order_relaxed); }
  /// 0: it is off.
  std::size_t interval() const noexcept { return interval_.load(std::memory_order_relaxed); }
  bool any_in_use() const noexcept { return in_use_.load(std::memory_order_relaxed) != 0; }

  /// A block has been sampled; takes the caller's backtrace. Large and huge blocks only.
  void add(const void* p, std::size_t size) noexcept;
  /// Nothing if it is none of the samples.
  void remove(const void* p) noexcept;
  /// By reallocate(). The stack remains that of the first allocation.
  void move(const void* from, const void* to, std::size_t size) noexcept;
  bool write(int descriptor) noexcept;
  /// Leaves out frames at the top of stacks whose code lies there: those of the allocator itself. Before start().
  void hide(const void* begin, const void* end) noexcept {
    hidden_begin_ = begin;
    hidden_end_ = end;
  }
  thread_mutex& lock() noexcept { return lock_; }  // for fork

 private:
  static constexpr std::size_t chains = 4096;
  void record(const void* p, std::size_t size, void* const* frames, std::uint32_t depth) noexcept;
  profile_bucket* find(std::size_t size, void* const* frames, std::uint32_t depth) noexcept HEDDLE_REQUIRES(lock_);
  profile_sample* take_out(const void* p) noexcept HEDDLE_REQUIRES(lock_);
  bool prepare() noexcept HEDDLE_REQUIRES(lock_);
  void forget() noexcept HEDDLE_REQUIRES(lock_);
  static std::size_t chain_of(const void* p) noexcept {
    return (reinterpret_cast<std::uintptr_t>(p) >> 13) * 0x9e37'79b9'7f4a'7c15U >> 52;
  }

  thread_mutex lock_{lock_rank::mcentral};  // under it only the mheap's is taken
  const void* hidden_begin_ = nullptr;
  const void* hidden_end_ = nullptr;
  atomic<std::size_t> interval_{0};
  atomic<std::size_t> last_interval_{1};
  atomic<std::size_t> in_use_{0};
  atomic<profile_bucket*> first_{nullptr};
  profile_bucket** buckets_ HEDDLE_GUARDED_BY(lock_) = nullptr;
  profile_sample** samples_ HEDDLE_GUARDED_BY(lock_) = nullptr;
  profile_sample* free_samples_ HEDDLE_GUARDED_BY(lock_) = nullptr;
};

extern heap_profile the_profile;

/// How far a cache is from its next samples.
struct cache_sampling {
  /// Bytes to the next sample: exponentially distributed.
  std::uint64_t draw() noexcept;

  std::array<std::uint64_t, class_count + 1> until{};  ///< bytes to the next sample; the last: of large blocks
  std::uint64_t random = 0;
  std::size_t interval = 0;  ///< for which `until` was drawn
};

}  // namespace heddle::detail
