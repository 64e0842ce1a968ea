// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <new>
#include <type_traits>
#include <utility>

#include "heddle/detail/config.hpp"

namespace heddle::alloc {

/// Memory that is given back all at once: an allocation is a subtraction and a compare, and there is no deallocation.
/// For what lives as long as a request, a parse, a frame.
///
///     heddle::alloc::arena a;
///     for (const request& r : requests) {
///       node* root = a.create<node>(r);                // no delete
///       std::pmr::vector<item> items(&a);              // as a std::pmr::memory_resource
///       answer(*root, items);
///       a.reset();                                     // after the vector is gone, or is not used any more
///     }
///
/// Takes blocks from heddle::alloc, each twice as large as the one before, up to 1 MiB; what needs more than half of
/// the next one gets a block of its own. As std::pmr::monotonic_buffer_resource; allocate() is inline here and no
/// virtual call if the type is known, reset() keeps the largest block for the next round, and it begins with no memory.
/// Destructors of what is in it are not called.
///
/// Not thread-safe: for one fiber or thread at a time. Throws std::bad_alloc. allocate() O(1); reset(), release() and
/// the destructor O(blocks), which are few.
///
/// Source: N. Fitzgerald, "Always Bump Downwards", 2019; D. Hanson, "Fast Allocation and Deallocation of Memory Based
/// on Object Lifetimes", 1990.
class HEDDLE_EXPORT arena final : public std::pmr::memory_resource {
 public:
  static constexpr std::size_t least_block = 1024;
  static constexpr std::size_t largest_block = std::size_t{1} << 20;

  /// Takes memory when it is asked for some: `first_block` bytes at first, 1 KiB to 1 MiB.
  explicit arena(std::size_t first_block = 4096) noexcept;
  arena(const arena&) = delete;
  arena& operator=(const arena&) = delete;
  ~arena() override { release(); }

  /// At least `bytes`, aligned to `alignment`, a power of two. Hides the function of the base, which calls it.
  [[nodiscard, gnu::always_inline]] void* allocate(std::size_t bytes, std::size_t alignment = 16) {
    // Downwards, because then one subtraction and one mask find the address, and blocks begin at multiples of 16.
    if (bytes < static_cast<std::size_t>(end_ - begin_)) [[likely]] {
      char* const p = end_ - bytes;
      char* const at = p - (reinterpret_cast<std::uintptr_t>(p) & (alignment - 1));
      if (alignment <= 16 || at >= begin_) [[likely]] {
        end_ = at;
        return at;
      }
    }
    return allocate_slow(bytes, alignment);
  }
  /// An object, whose destructor will not be called, so it must have none of its own.
  template <class T, class... Args>
  [[nodiscard]] T* create(Args&&... args) {
    static_assert(std::is_trivially_destructible_v<T>, "an arena calls no destructors");
    void* const p = allocate(sizeof(T), alignof(T));
    if constexpr (std::is_constructible_v<T, Args...>)
      return ::new (p) T(std::forward<Args>(args)...);
    else  // an aggregate, for compilers that want braces there
      return ::new (p) T{std::forward<Args>(args)...};
  }

  /// All that was allocated is gone. The last block, which is the largest but for those of single large objects, stays
  /// for what comes next.
  void reset() noexcept;
  /// The same, and keeps no memory.
  void release() noexcept;
  /// Bytes that it has from the allocator.
  [[nodiscard]] std::size_t held() const noexcept { return held_; }

 private:
  /// Stands at the beginning of each.
  struct block {
    block* next;
    std::size_t bytes;
  };
  [[gnu::noinline]] void* allocate_slow(std::size_t bytes, std::size_t alignment);
  block* take(std::size_t bytes);
  void give(block* b) noexcept;

  void* do_allocate(std::size_t bytes, std::size_t alignment) override { return allocate(bytes, alignment); }
  void do_deallocate(void*, std::size_t, std::size_t) noexcept override {}
  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override { return this == &other; }

  char* begin_ = nullptr;  ///< what is free in the current block
  char* end_ = nullptr;
  block* current_ = nullptr;  ///< the rest behind it
  std::size_t next_bytes_;    ///< of the next block
  std::size_t held_ = 0;
};

}  // namespace heddle::alloc
