// SPDX-License-Identifier: BSL-1.0
//
// The cells of counted objects that have weak references, by the objects' addresses.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "barrier/mutators.hpp"
#include "heddle/detail/thread_mutex.hpp"
#include "heddle/gc/make_counted.hpp"

namespace heddle::gc::detail {

/// A counted object. The table has a reference to it while its object lives.
struct weak_count_cell {
  atomic<std::uintptr_t> object{0};  ///< the header; 0: dead. Changes under the lock of its part
  std::uintptr_t home = 0;           ///< the header as it was
  weak_count_cell* next = nullptr;   ///< in its bucket
};

/// 1. A cell is in the table from the first weak reference to its object until that dies.
/// 2. Whoever finds an object in a cell under the lock may look at its header until the lock is free: the object's
/// death
///    takes the same lock before anything of it is gone.
class weak_table {
 public:
  constexpr weak_table() noexcept = default;

  /// Inside: the cell of an object, or null.
  weak_count_cell* find(const count_header& h) noexcept;
  /// Inside: the same, or `fresh`, which the table takes over with one of its references. Null: no memory.
  weak_count_cell* find_or_add(count_header& h, weak_count_cell& fresh) noexcept;
  /// Inside: the object is dead. Gives the cell, whose reference is the caller's now; null: there is none.
  count_header* forget(const count_header& h) noexcept;
  /// While all threads are stopped: nobody gets the object by its cell any more.
  void silence(const count_header& h) noexcept;
  /// Inside: one more reference to the object of c; null: it has died.
  count_header* lock(weak_count_cell& c) noexcept;

 private:
  struct part {
    heddle::detail::thread_mutex lock{heddle::detail::lock_rank::lists};
    weak_count_cell** buckets HEDDLE_GUARDED_BY(lock) = nullptr;
    std::size_t room HEDDLE_GUARDED_BY(lock) = 0;  // buckets: a power of two, or 0
    std::size_t cells HEDDLE_GUARDED_BY(lock) = 0;

    weak_count_cell** place_of(std::uintptr_t h) noexcept HEDDLE_REQUIRES(lock);
    bool grow() noexcept HEDDLE_REQUIRES(lock);
  };
  static constexpr std::size_t parts = 64;

  static std::uintptr_t name_of(const count_header& h) noexcept { return reinterpret_cast<std::uintptr_t>(&h); }
  part& part_of(std::uintptr_t h) noexcept { return parts_[(h >> 4) * 0x9e3779b97f4a7c15 >> 58]; }

  std::array<part, parts> parts_{};
};

extern constinit weak_table the_weak_table;

}  // namespace heddle::gc::detail
