// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <cstddef>

#include "span.hpp"

namespace heddle::detail {

/// The records of all spans, from the_map.spans on: numbered, mapped as far as they are used, and used again. Where
/// something else is mapped their numbers go on behind it. Not thread-safe.
class span_records {
 public:
  /// A run of numbers all of which are records': from `first` to the one before `last`.
  struct run {
    std::size_t first = 0, last = 0;
  };
  static constexpr std::size_t most_runs = 64;

  /// Makes the record with the number 0, if it is not there. False: no memory.
  bool begin() noexcept;
  /// Null: no memory.
  span* make() noexcept;
  /// The record may become another span's.
  void drop(span& s) noexcept {
    s.next = free_;
    free_ = &s;
  }

  run operator[](std::size_t i) const noexcept { return runs_[i]; }
  /// Bytes that are mapped.
  std::size_t bytes() const noexcept { return bytes_; }

 private:
  bool map_more() noexcept;

  span* free_ = nullptr;
  std::array<run, most_runs> runs_{};
  std::size_t runs_used_ = 0;
  std::size_t mapped_ = 0;  ///< behind the last number with memory
  std::size_t bytes_ = 0;
};

}  // namespace heddle::detail
