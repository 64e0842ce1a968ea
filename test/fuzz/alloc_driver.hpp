// SPDX-License-Identifier: BSL-1.0
//
// Takes bytes for a sequence of calls of the allocator, and checks each result against a record of what there is. Ends
// the process, naming what is wrong, if a promise is broken.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "heddle/arena.hpp"
#include "mheap.hpp"
#include "shadow.hpp"

namespace heddle::testing {

/// The first byte chooses the options, the others are calls. The heap is a fresh one each time, the kernel says no only
/// where the bytes want it, and threads take turns: so the same bytes always do the same.
class alloc_driver {
 public:
  alloc_driver(const std::uint8_t* data, std::size_t size) : at_(data), end_(data + size) {}
  ~alloc_driver();
  alloc_driver(const alloc_driver&) = delete;
  alloc_driver& operator=(const alloc_driver&) = delete;

  /// Returns the number of blocks that were allocated or freed.
  std::size_t run();

 private:
  static constexpr std::size_t most_blocks = 4'096, most_calls = 6'000;
  static constexpr std::size_t most_bytes = std::size_t{1} << 30;
  static constexpr std::size_t most_written = std::size_t{3} << 19;

  std::uint8_t byte() { return at_ == end_ ? std::uint8_t{0} : *at_++; }
  std::size_t word() { return byte() | std::size_t{byte()} << 8; }
  std::size_t size();
  std::size_t pick() { return word() % blocks_.count(); }

  void run_calls();
  void step();
  void call(std::uint8_t what);
  void end_run();

  // --- calls ------------------------------------------------------------------------------------------------------
  void allocate();
  void allocate_many();
  void allocate_zeroed();
  void allocate_aligned();
  void reallocate();
  void free_one();
  void free_many();
  void free_sized(bool within);
  void give_back();
  void set_limit();
  void profile();
  void allocate_collected();
  void free_collected();
  void use_arena();
  void reset_arena();
  void look();
  void obstruct();
  void misuse();
  void overwrite(const block& b);
  void change_thread();
  void real_thread();

  // --- what is checked --------------------------------------------------------------------------------------------
  bool admits(std::size_t n) const;
  void insert(void* memory, std::size_t n, std::size_t alignment);
  void free(std::size_t i);
  void free_collected(shadow& from, std::size_t i);
  void note_written(std::size_t size);
  void require_reason(std::size_t n, std::size_t alignment) const;
  void require_filled(const unsigned char* from, const unsigned char* to) const;
  void check_statistics();
  void check_limit(std::size_t held_before) const;
  static std::size_t held();

  void switch_to(std::size_t thread);
  void end_thread();

  const std::uint8_t* at_;
  const std::uint8_t* end_;
  shadow blocks_;
  std::array<shadow, 2> collected_;  ///< scan, noscan
  std::optional<alloc::arena> arena_;
  shadow pieces_;  ///< of the arena
  bool plain_ = true, hardened_ = false, small_ = false;
  bool over_ = false;  ///< the heap has been damaged on purpose
  bool profiled_ = false, in_thread_ = false;
  std::size_t calls_ = 0, written_ = 0;
  std::size_t refused_before_ = 0;  ///< this call
  std::array<detail::mcache*, 4> caches_{};
  std::array<std::array<detail::mcache*, 2>, 4> collected_caches_{};
  std::size_t thread_ = 0;
};

}  // namespace heddle::testing
