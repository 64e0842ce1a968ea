// SPDX-License-Identifier: BSL-1.0
//
// Follows addresses. Of an object that it meets for the first time it sets the mark bit, and later goes through the
// words that may hold addresses.
//
// Between the two an object waits: on a stack, and then, while the processor fetches it, in a window of a few others.
// Source: the window of C. Cher, A. Hosking, T. Vijaykumar, "Software Prefetching for Mark-Sweep Garbage Collection"
// (2004).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "heap/heap.hpp"
#include "mark/ephemerons.hpp"
#include "mark/trail.hpp"
#include "mark/work_stack.hpp"
#include "roots/sink.hpp"

namespace heddle::gc::detail {

/// Belongs to one thread. Beside mark bits it writes its own memory only.
class marker final : public root_sink {
 public:
  /// Each word may be an address. It keeps the objects that are allocated.
  void words(const void* from, const void* to) noexcept override;
  /// p is an address in an object, or of something else, or null.
  void visit(const void* p) noexcept {
    if (const block b = the_regions.find(reinterpret_cast<std::uintptr_t>(p))) mark(b);
  }
  /// The same for a word that may be any number.
  void visit_if_allocated(const void* p) noexcept {
    if (const block b = the_regions.find(reinterpret_cast<std::uintptr_t>(p)); b && b.is_allocated()) mark(b);
  }
  /// Goes through all that waits, until nothing does.
  void drain() noexcept;
  /// All that is reached otherwise has been marked: from now on ephemerons are found by their keys. Those whose keys
  /// have been marked meanwhile keep their values.
  void go_through_ephemerons() noexcept;

  /// Gives back memory that a deep graph has needed.
  void trim() noexcept { waiting_.trim(); }

  /// Objects and bytes marked since begin().
  std::size_t marked() const noexcept { return marked_; }
  std::size_t marked_bytes() const noexcept { return marked_bytes_; }
  void begin() noexcept {
    marked_ = marked_bytes_ = 0;
    pending.clear();
  }

  ephemerons pending;  ///< cells whose keys have not been reached

  /// From now on it is noted in `t` how each object is reached; null: no more.
  void leave_trail(trail* t) noexcept { trail_ = t; }
  bool leaves_trail() const noexcept { return trail_ != nullptr; }
  /// The next visits come from that root: words for people.
  void reach_from(const char* root) noexcept { from_ = {root, nullptr}; }

 private:
  /// An object and the number of its kind in one word.
  using item = std::uint64_t;
  static constexpr unsigned kind_shift = 48;
  static constexpr std::size_t window = 16;

  void mark(const block& b) noexcept {
    if (!b.mark()) return;
    ++marked_;
    marked_bytes_ += b.of->size;
    // Keys of ephemerons are looked up when they are gone through, one by one.
    if (b.of->how != walk::none || pending.watching()) push(b);
    if (trail_ != nullptr) [[unlikely]]
      trail_->add(b.start, from_);
  }
  void push(const block& b) noexcept {
    if (!waiting_.push(reinterpret_cast<std::uint64_t>(b.start) | std::uint64_t{b.of->number} << kind_shift))
        [[unlikely]]
      end_without_memory();
  }
  [[noreturn]] static void end_without_memory() noexcept;
  void scan(item i) noexcept;
  void scan_slots(const char* start, const kind& k) noexcept;
  void scan_ephemeron(const char* start) noexcept;
  void reached(const char* start) noexcept;

  work_stack waiting_;
  std::array<item, window> window_{};
  trail* trail_ = nullptr;
  trail::origin from_;
  std::size_t marked_ = 0;
  std::size_t marked_bytes_ = 0;
};

}  // namespace heddle::gc::detail
