// SPDX-License-Identifier: BSL-1.0
//
// For a scan of stacks: which pages of stacks were written before it began, and which are protected from now on.
//
// 1. A page is protected at most once in a scan, and only if it was written when the scan began. A fiber that was
// frozen
//    on such a page is scanned in this scan; so nobody is frozen whose stack was read before the page was protected.
// 2. Stacks that lie far apart are not watched: the kernel looks at the page tables between them, and takes longer than
//    it takes to read a stack.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace heddle::detail {

class scheduler;

/// Memory for stacks that the kernel watches.
struct watched_range {
  const char* at;
  std::size_t bytes;
};

/// By the collector's thread only.
class watched_stacks {
 public:
  /// From slot to slot: 27 ns a page, where reading a stack takes 250 ns; at 256 KiB it is a hundred.
  static constexpr std::size_t widest_stride = std::size_t{64} << 10;

  /// A scan begins: asks the kernel. `s`: null, there is no runtime. O(pages of watched stacks), some nanoseconds each,
  /// and a fault of memory never more than a stack that is not watched.
  void begin(scheduler* s) noexcept;
  /// Nothing is known any more.
  void clear() noexcept { areas_.clear(); }
  bool any() const noexcept { return !areas_.empty(); }

  /// Whether all of [from, to) is watched and was unwritten when the scan began.
  bool is_unchanged(const void* from, const void* to) const noexcept;
  /// Whether each later write into [from, to) is seen by the next scan.
  bool is_protected(const void* from, const void* to) const noexcept;
  /// Has protect() do so.
  void note(const void* from, const void* to) noexcept;
  /// Protects what has been noted. A system call for each run of pages.
  void protect() noexcept;

 private:
  using bits = std::vector<std::uint64_t>;  // one a page
  struct area {
    const char* at;
    std::size_t bytes;
    bits written;  // when the scan began
    bits guarded;  // of those, the ones that have been protected since
  };
  template <class F>
  bool all_of(const void* from, const void* to, F f) const noexcept;
  const area* find(const char* p) const noexcept;

  std::vector<area> areas_;         // by address
  mutable std::size_t last_ = 0;    // where find() has found something
  std::vector<const char*> noted_;  // pages
};

}  // namespace heddle::detail
