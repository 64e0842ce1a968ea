// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "heddle/detail/platform.hpp"

namespace heddle::detail {

/// Memory for threads that must not touch the heap at the moment (see fork_gate), and blocks of the heap that they
/// would have freed. Blocks are cut from the front of chunks of their own, each with its size before it. A chunk goes
/// when its last block does. Chunks become larger the more is asked for, since a long fork may see as many blocks come
/// as a heap has. May be called from any thread, also in a signal's handler. Nobody waits here. A child of a fork finds
/// it usable whatever other threads were doing. Such blocks are neither checked nor counted.
class reserve_blocks {
 public:
  constexpr reserve_blocks() noexcept = default;

  /// `alignment`: any power of two. Null: no memory, or no more chunks to be had.
  void* allocate(std::size_t alignment, std::size_t size) noexcept;
  /// Whether p lies in one of its chunks. A load as long as there has never been any.
  bool contains(const void* p) const noexcept { return slots_.load(std::memory_order_relaxed) != 0 && finds(p); }
  // For blocks of these chunks only.
  static std::size_t size_of(const void* p) noexcept;
  void deallocate(void* p) noexcept;

  /// Keeps a block of the heap that is to be freed later. Writes into it.
  void defer(void* p) noexcept;
  /// f(block) for each of those: they are the caller's.
  template <class F>
  void take_deferred(F f) noexcept {
    if (deferred_.load(std::memory_order_relaxed) == nullptr) return;
    // acquire: so that the links are seen; release half in defer().
    for (link* l = deferred_.exchange(nullptr, std::memory_order_acquire); l != nullptr;) {
      link* const next = l->next;
      f(static_cast<void*>(l));
      l = next;
    }
  }
  /// In a child of a fork: drops work that other threads had begun.
  void forked() noexcept;

 private:
  struct link {
    link* next;
  };
  struct chunk;
  /// A chunk from which blocks are being cut, by one thread at a time: the others go to the next lane.
  struct alignas(64) lane {
    atomic<bool> busy{false};
    chunk* current = nullptr;
  };
  static constexpr std::size_t lane_count = 16;
  static constexpr std::size_t most_chunks = 4096;

  bool finds(const void* p) const noexcept;
  lane* take_lane() noexcept;
  static void leave(lane& l) noexcept;
  chunk* chunk_with(std::size_t room, lane* l) noexcept;
  chunk* make_chunk(std::size_t bytes) noexcept;
  void drop(chunk& c) noexcept;
  void drop_if_current(const chunk* c) noexcept;

  std::array<lane, lane_count> lanes_{};
  atomic<std::size_t> slots_{0};  ///< of chunks_ that have ever been used: the first ones
  /// Address and, in its lowest bits, the logarithm of the length in pages: in one word, so that a child sees all of
  /// it or nothing.
  std::array<atomic<std::uintptr_t>, most_chunks> chunks_{};
  atomic<link*> deferred_{nullptr};
};

extern reserve_blocks the_reserve_blocks;

}  // namespace heddle::detail
