// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "heddle/detail/size_class.hpp"

namespace heddle::detail {

inline constexpr std::size_t no_page = ~std::size_t{0};

/// How far a search for free pages has come.
struct page_walk {
  std::size_t page = 0;  ///< the next page to look at; no_page: there is none
  std::size_t runs = 0;  ///< given back so far
};

/// Which pages of the heap are free: the first run by address that is long enough is found by a radix tree of
/// summaries, so the heap stays low and its upper end empties. Pages are numbered as the address_map does it. Not
/// thread-safe. The records about them are a mapping of their own, 145 bytes for 4 MiB of the heap. Once full, they
/// move to one half as large again.
///
/// A leaf is a chunk of 512 pages with a bit each; a node sums up eight of the level below: the free pages at its
/// start, at its end, and the longest run inside.
///
/// Source: Go's page allocator (M. Knyszek, "Scaling the Go page allocator", 2019).
class page_allocator {
 public:
  static constexpr std::size_t chunk_pages = 512;  // 4 MiB
  static constexpr unsigned levels = 4;            // a root sums up 2 GiB

  struct chunk {
    std::uint64_t used[8];        ///< a bit for each page in use
    std::uint64_t unbacked[8];    ///< free pages without memory behind them, which read as zeros
    std::uint32_t freed_at;       ///< the scavenger's round in which a page was freed last
    std::uint32_t idle_resident;  ///< free pages with memory
  };

  /// Adds free pages without memory, at or behind end(); those in between count as used for ever. False: no memory for
  /// the records about them.
  bool grow(std::size_t first, std::size_t pages) noexcept;
  /// Afterwards it is as if no page had ever been added.
  void clear() noexcept;

  /// The first page of a run that was free and is in use now, or no_page. `align`: pages, a power of two. `fresh`: how
  /// many of them had no memory behind them; if all, the run reads as zeros.
  std::size_t take(std::size_t pages, std::size_t align, std::size_t& fresh) noexcept;
  /// The same for a run that begins at a certain page. False: it is not free.
  bool take_at(std::size_t first, std::size_t pages, std::size_t& fresh) noexcept;
  void give(std::size_t first, std::size_t pages, bool backed = true) noexcept;

  /// Takes a run of free pages with memory, so that it can be given back to the kernel: the first at or after `from`
  /// in chunks in which nothing has been freed since `round`, or its first `longest_idle`. no_page: there is none.
  std::size_t take_idle(std::size_t from, std::uint32_t round, std::size_t& pages) noexcept;
  static constexpr std::size_t longest_idle = 128;  ///< 1 MiB: the kernel takes it back in some 100 us

  std::size_t free_pages() const noexcept { return free_; }
  std::size_t idle_resident_pages() const noexcept { return idle_resident_; }
  std::size_t end() const noexcept { return end_; }
  /// Bytes that are mapped for the records about them.
  std::size_t bytes() const noexcept { return bytes_; }
  void set_round(std::uint32_t r) noexcept { round_ = r; }

 private:
  using summary = std::uint64_t;
  std::size_t find(std::size_t pages) const noexcept;
  std::size_t find_within(unsigned level, std::size_t first, std::size_t last, std::size_t pages) const noexcept;
  std::size_t find_in_chunk(std::size_t c, std::size_t pages) const noexcept;
  std::size_t mark_used(std::size_t first, std::size_t pages) noexcept;
  void refresh(std::size_t first_chunk, std::size_t last_chunk) noexcept;
  summary sum_of(const chunk& c) const noexcept;
  bool make_room(std::size_t chunks) noexcept;

  chunk* chunks_ = nullptr;
  summary* sums_[levels] = {};  ///< [0]: of chunks; [levels - 1]: roots
  std::size_t room_ = 0;        ///< for so many chunks
  std::size_t bytes_ = 0;       ///< of the mapping
  std::size_t end_ = 0;         ///< behind the last page that was ever added
  std::size_t lowest_ = 0;      ///< no page below is free
  std::size_t free_ = 0;
  std::size_t idle_resident_ = 0;
  std::uint32_t round_ = 0;
};

}  // namespace heddle::detail
