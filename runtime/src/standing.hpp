// SPDX-License-Identifier: BSL-1.0
//
// Fibers that stand still, as scans of stacks know them from one to the next; scan_mark.hpp says what is frozen.
//
// A scan passes over a frozen fiber if its stack was unwritten when the scan began and the fiber has not been resumed
// when its mark is looked at. It has stood still in between, so that is as if it had been scanned when the scan began;
// what is written later is the business of whoever writes, as with all stacks that have been scanned.
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <utility>
#include <vector>

#include "fiber.hpp"
#include "watched_stacks.hpp"

namespace heddle::detail {

/// Notes, in this scan, that f was resumed before it was scanned. By machines.
void touch(const fiber& f, std::uint8_t epoch) noexcept;

/// Pages of control blocks, all of whose fibers this scan has passed over. Further passes need not look at them until
/// one of the fibers is resumed: a block of a frozen fiber is not used otherwise.
class quiet_pages {
 public:
  /// A pass begins.
  void rewind() noexcept { next_ = 0; }
  /// A slab's pages, by bits. Slabs come by address.
  std::uint64_t of(const fiber* slab) noexcept;
  /// In the first pass.
  void note(const fiber* slab, std::uint64_t pages) noexcept;
  /// Whether a fiber of the page was touch()ed in the scan of that epoch, or perhaps one of another page.
  static bool is_touched(const fiber* in_page, std::uint8_t epoch) noexcept;

  static std::size_t page_of(std::size_t index) noexcept { return index * sizeof(fiber) / page_size; }
  /// The first block that begins in that page or behind it.
  static std::size_t first_in(std::size_t page) noexcept {
    return (page * page_size + sizeof(fiber) - 1) / sizeof(fiber);
  }

 private:
  std::vector<std::pair<const fiber*, std::uint64_t>> pages_;
  std::size_t next_ = 0;
};

/// By the collector's thread only.
struct standing_notes {
  /// The one of the process. Never destroyed: the collector works while the process ends.
  static standing_notes& instance() noexcept;
  /// In a child: nothing is known.
  void forget() noexcept;

  /// For scans that verify: what f has on its stack now, as one number.
  void note_contents(const fiber& f) noexcept;

  watched_stacks stacks;
  quiet_pages quiet;                                         ///< of this scan
  std::unordered_map<const fiber*, std::uint64_t> contents;  ///< of frozen ones, when they were frozen
  std::uint8_t last_epoch = 0;  ///< of the last scan; 0 if a fiber that it has scanned may have been resumed since
                                ///< without a trace in its mark
  std::size_t last_still = 0;   ///< so many had stood still by then

#if defined(HEDDLE_MODEL) && HEDDLE_MODEL
  static constexpr std::size_t least = 1;
#else
  /// Fewer are not frozen: to scan them takes a quarter of a millisecond, and a write into their stacks a microsecond.
  static constexpr std::size_t least = 1000;
#endif
};

}  // namespace heddle::detail
