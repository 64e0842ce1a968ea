// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "heap/region.hpp"

namespace heddle::gc::detail {

/// A collected object: `value` is kept while the object of `key` is alive for another reason.
struct ephemeron_cell {
  void* key;
  void* value;
};

/// Ephemeron cells that are alive and whose keys have not been reached. When all else has been marked they are found by
/// their keys: each object that is reached from then on is looked up. So a chain of them takes time in proportion to
/// its length.
class ephemerons {
 public:
  constexpr ephemerons() noexcept = default;
  ~ephemerons();
  ephemerons(const ephemerons&) = delete;
  ephemerons& operator=(const ephemerons&) = delete;

  /// False: no memory; the caller then keeps the value.
  bool add(ephemeron_cell& c, const block& key) noexcept;
  bool empty() const noexcept { return count_ == 0; }
  /// From now on objects that are reached are looked up.
  bool watch() noexcept;
  bool watching() const noexcept { return heads_ != nullptr; }
  /// f(ephemeron_cell&) for each that waits for the object at `start`, none of which waits any longer.
  template <class F>
  void for_each_of(const char* start, F f) noexcept {
    std::uint32_t* link = &heads_[slot_of(start)];
    while (*link != 0) {
      entry& e = entries_[*link - 1];
      if (e.key != start) {
        link = &e.next;
        continue;
      }
      *link = e.next;
      e.key = nullptr;
      f(*e.cell);
    }
  }
  /// f(ephemeron_cell&) for each whose key was never reached.
  template <class F>
  void for_each_left(F f) noexcept {
    for (std::size_t i = 0; i != count_; ++i)
      if (entries_[i].key != nullptr) f(*entries_[i].cell);
  }
  void clear() noexcept;

 private:
  struct entry {
    ephemeron_cell* cell;
    const char* key;     ///< where its object begins; null: waits no longer
    std::uint32_t next;  ///< of the same hash, plus 1
  };
  std::size_t slot_of(const char* start) const noexcept {
    return reinterpret_cast<std::uintptr_t>(start) / 16 * 0x9E3779B97F4A7C15 >> (64 - log_slots_);
  }
  void link(std::size_t i) noexcept;
  bool grow() noexcept;

  entry* entries_ = nullptr;
  std::size_t capacity_ = 0;
  std::size_t count_ = 0;
  std::uint32_t* heads_ = nullptr;
  unsigned log_slots_ = 1;
};

}  // namespace heddle::gc::detail
