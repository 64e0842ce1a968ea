// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "heddle/detail/platform.hpp"

namespace heddle::gc::detail {

/// Objects that wait for a marker, as marker::item has them.
struct work_packet {
#if defined(HEDDLE_MODEL) && HEDDLE_MODEL
  static constexpr std::size_t capacity = 2;
#else
  static constexpr std::size_t capacity = 510;
#endif
  work_packet* next = nullptr;
  std::size_t count = 0;
  std::uint64_t items[capacity];
};

/// Work that the collector's thread lets others help with: threads that allocate while it marks.
///
/// A helper enters, takes packets, goes through them, gives back what it has not gone through, and leaves. The
/// collector opens the share, and closes it when it finds no packet any more: then no helper is at it, and what is not
/// in a packet has been gone through.
class work_share {
 public:
  constexpr work_share() noexcept = default;

  // --- for the collector's thread ---
  /// Returns when nothing waits, at helpers neither. work() goes through what the collector has, for a while; true: it
  /// has nothing left. take() takes a packet, or what helpers have put aside; false: there is none.
  template <class Work, class Take>
  void go_through_all(Work work, Take take) noexcept {
    do {
      open();
      while (!work() || take()) {
      }
      close();
    } while (take());
  }
  void open() noexcept { open_.store(1, std::memory_order_relaxed); }
  /// Returns when all helpers have left; until it is open again none comes.
  void close() noexcept;

  // --- for helpers ---
  /// False: it is closed, nothing has happened.
  bool enter() noexcept;
  void leave() noexcept {
    // release: so that the collector sees what the helper has marked, and given back; acquire half in close().
    helpers_.fetch_sub(
        1, HEDDLE_PLANTED(gc_helper_leaves_relaxed) ? std::memory_order_relaxed : std::memory_order_release);
  }

  // --- for both ---
  /// The packet that has waited for longest; null: there is none. The caller recycles it.
  static work_packet* take() noexcept;
  static void put(work_packet& p) noexcept;
  /// Work that only the collector may do: the helper puts it aside.
  static void put_aside(work_packet& p) noexcept;
  static work_packet* take_aside() noexcept;
  /// An empty one. Null: no memory.
  static work_packet* make() noexcept;
  static void recycle(work_packet& p) noexcept;
  /// Helpers may come, and few packets are there for them.
  bool wants_more() const noexcept;

 private:
  static constexpr std::size_t enough = 8;
  heddle::detail::atomic<std::uint32_t> open_{0};
  heddle::detail::atomic<std::uint32_t> helpers_{0};
};

extern constinit work_share the_work_share;

}  // namespace heddle::gc::detail
