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
#include <utility>

#include "barrier/mutator.hpp"
#include "heap/heap.hpp"
#include "mark/ephemerons.hpp"
#include "mark/trail.hpp"
#include "mark/work_share.hpp"
#include "mark/work_stack.hpp"
#include "roots/sink.hpp"

namespace heddle::gc::detail {

/// Belongs to one thread. Beside mark bits it writes its own memory only, and packets that it shares with others.
class marker final : public root_sink {
 public:
  /// `helps`: it leaves ephemerons to the collector's own.
  constexpr explicit marker(bool helps = false) noexcept : helps_(helps) {}

  /// Each word may be an address. It keeps the objects that are allocated. Those that may still be made are looked at
  /// again in the next young cycle.
  void words(const void* from, const void* to) noexcept override;
  /// Words have led to an object that the next cycle has to meet, though they stay as they are: one whose cards must be
  /// written, or one that is born.
  bool wants_again() noexcept override { return std::exchange(wants_again_, false); }
  /// p is an address in an object, or of something else, or null.
  void visit(const void* p) noexcept {
    if (const block b = the_regions.find(reinterpret_cast<std::uintptr_t>(p))) meet(b);
  }
  /// The same for a word that may be any number.
  void visit_if_allocated(const void* p) noexcept {
    if (const block b = the_regions.find(reinterpret_cast<std::uintptr_t>(p)); b && b.is_allocated()) meet(b);
  }
  /// Visits the addresses that the old object has in [from, to), a piece of memory that it lies in or reaches into.
  void look_again(const kind& k, const char* object, std::size_t bytes, const char* from, const char* to) noexcept;
  /// Each address that a mutator has told of.
  void visit_all(const shade_buffer& b) noexcept;
  /// Goes through all that waits, until nothing does.
  void drain() noexcept {
    while (!drain(~std::size_t{0})) {
    }
  }
  /// The same, but not much beyond so many steps: an object that is marked is one, and one that is gone through.
  /// True: nothing waits. Marks are seen by others when it has returned.
  bool drain(std::size_t steps) noexcept;
  /// Puts packets into the share as long as it wants more and enough waits here. The oldest go: in a deep graph few
  /// objects wait, and most of it is behind those that have waited for longest.
  void offer() noexcept;
  /// Puts all that waits into the share. Marks are seen by others when it has returned.
  void give_all() noexcept;
  /// Takes a packet out of it, or a buffer that a mutator has filled; false: there is none.
  bool take() noexcept;
  /// Takes what helpers have put aside, ephemerons; false: there is nothing.
  bool take_aside() noexcept;
  /// All that is reached otherwise has been marked: from now on ephemerons are found by their keys. Those whose keys
  /// have been marked meanwhile keep their values.
  void go_through_ephemerons() noexcept;

  /// Gives back memory that a deep graph has needed.
  void trim() noexcept { waiting_.trim(); }

  /// Objects marked, and bytes of objects marked or gone through, since begin().
  std::size_t marked() const noexcept { return marked_; }
  std::size_t marked_bytes() const noexcept { return marked_bytes_; }
  void begin() noexcept {
    marked_ = marked_bytes_ = 0;
    looks_later_ = the_heap.in_spans() >= large_heap && trail_ == nullptr;
    pending.clear();
  }

  ephemerons pending;  ///< cells whose keys have not been reached

  /// From now on it is noted in `t` how each object is reached; null: no more.
  void leave_trail(trail* t) noexcept {
    trail_ = t;
    looks_later_ &= t == nullptr;  // what led to an object is known when it is met only
  }
  bool leaves_trail() const noexcept { return trail_ != nullptr; }
  /// The next visits come from that root: words for people.
  void reach_from(const char* root) noexcept { from_ = {root, nullptr}; }

 private:
  /// An object and the number of its kind in one word.
  using item = std::uint64_t;
  static constexpr unsigned kind_shift = 48;
  static constexpr std::size_t window = 32;
  static constexpr std::size_t met_window = 16;
  /// Marks of smaller ones lie in the processor's own caches, and the detour costs a nanosecond.
  static constexpr std::size_t large_heap = std::size_t{768} << 20;
  /// So many objects are kept at least when others want some.
  static constexpr std::size_t kept = 4;
  /// Of a large object as much is gone through at a time, so that a step is short.
  static constexpr std::size_t large_step = std::size_t{8} << 10;

  /// In a large heap its mark is looked at a few blocks later, when the word has been fetched.
  void meet(const block& b) noexcept {
    if (!looks_later_) return mark(b);
    __builtin_prefetch(&b.mark_word());
    if (met_count_ == met_window) mark_one_met();
    met_[(met_first_ + met_count_++) % met_window] = b;
  }
  void mark_one_met() noexcept {
    mark(met_[met_first_]);
    met_first_ = (met_first_ + 1) % met_window;
    --met_count_;
  }
  void mark_met() noexcept {
    while (met_count_ != 0) mark_one_met();
  }
  void mark(const block& b) noexcept {
    if (!note_mark(b)) return;
    ++marked_;
    marked_bytes_ += b.of->size;  // a large one counts as it is gone through
    if (b.of->is_large() && b.of->how == walk::none) [[unlikely]]
      marked_bytes_ += the_regions.span_of(b.start)->block_bytes;
    // Keys of ephemerons are looked up when they are gone through, one by one.
    if (b.of->how != walk::none || pending.watching()) push(item_of(b.start, *b.of));
    if (trail_ != nullptr) [[unlikely]]
      trail_->add(b.start, from_);
  }
  /// Marks of one word come together: they are noted here, and set by one locked instruction when an object of another
  /// word is met. Another marker may meet the object meanwhile; then both go through it. False: it was marked before.
  bool note_mark(const block& b) noexcept {
    bit_word& w = b.mark_word();
    if (&w != word_) {
      set_marks();
      word_ = &w;
      known_ = w.load(std::memory_order_relaxed);
    }
    if ((known_ & b.mask()) != 0) return false;
    known_ |= b.mask();
    noted_ |= b.mask();
    return true;
  }
  void set_marks() noexcept {
    // relaxed: as in block::mark().
    if (noted_ != 0) word_->fetch_or(noted_, std::memory_order_relaxed);
    noted_ = 0;
  }
  static item item_of(const char* at, const kind& k) noexcept {
    return reinterpret_cast<item>(at) | item{k.number} << kind_shift;
  }
  void push(item i) noexcept {
    if (!waiting_.push(i)) [[unlikely]]
      end_without_memory();
  }
  [[noreturn]] static void end_without_memory() noexcept;
  void visit_root(const void* p) noexcept;
  void visit_young(const void* p) noexcept;
  template <class Visit>
  static void for_each_word(const void* from, const void* to, Visit visit) noexcept;
  void scan(item i) noexcept;
  void scan_large(const char* at, const kind& k) noexcept;
  void scan_slots(const char* at, std::size_t bytes, const kind& k) noexcept;
  void scan_words(const char* at, std::size_t bytes) noexcept;
  void settle() noexcept;
  void give_packet() noexcept;
  void give_older_half() noexcept;
  void take_out_of(work_packet& p) noexcept;
  bool take_buffer() noexcept;
  void leave_to_collector(item i) noexcept;
  static work_packet& make_packet() noexcept;
  void scan_ephemeron(const char* start) noexcept;
  void reached(const char* start) noexcept;

  bit_word* word_ = nullptr;  // of the object that was met last; null when others may look
  std::uint64_t known_ = 0;   // the word's marks, as they were, and noted ones
  std::uint64_t noted_ = 0;   // those that are to be set
  std::array<block, met_window> met_{};
  std::size_t met_first_ = 0;
  std::size_t met_count_ = 0;
  work_stack waiting_;
  std::array<item, window> window_{};
  trail* trail_ = nullptr;
  trail::origin from_;
  std::size_t marked_ = 0;
  std::size_t marked_bytes_ = 0;
  bool looks_later_ = false;
  bool wants_again_ = false;
  bool helps_;
};

}  // namespace heddle::gc::detail
