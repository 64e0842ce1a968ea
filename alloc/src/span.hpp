// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "heddle/detail/platform.hpp"
#include "heddle/detail/size_class.hpp"

namespace heddle::detail {

class mcache;
struct span_checks;

/// A free block: its first word links it to the next.
struct free_block {
  free_block* next;
};

/// What stands in one of several blocks that another than the span's owner has freed: which ones. So neither they nor
/// the owner goes to each of them, out of the one's cache into the other's, to find the next.
struct remote_block {
  std::uint64_t blocks;  ///< bit i: the block with the number `first` + i; it stands in the last of them
  std::uint16_t first;
  std::uint16_t next;  ///< the next one of the list, as span::number_of() has it; 0: this is the last

  static constexpr std::size_t most = 64;
};
static_assert(sizeof(remote_block) <= grain);

/// Free blocks of one class: what the slots of an mcache point to.
struct block_list {
  free_block* free;
  std::uint32_t live;  ///< counts up with each block that is popped, and down with each that is pushed
  std::uint32_t base;
};

/// The first block of a list that has one.
inline free_block* pop(block_list& l) noexcept {
  free_block* const b = l.free;
  l.free = b->next;
  ++l.live;
  return b;
}

/// Where a span is in its life. Written by who has it.
enum class span_state : std::uint8_t {
  unused,   ///< the record is in the mheap's list, or has never been one
  active,   ///< an mcache takes blocks of its class from it
  full,     ///< owned; every block was in use when it was last active
  partial,  ///< owned, in its owner's list: blocks are free
  central,  ///< nobody owns it: in the mcentral of its class
  large,    ///< one block, of no class
};

/// Who frees the blocks of a span.
enum class span_kind : std::uint8_t {
  manual,  ///< the program, one by one: malloc() and its relatives
  scan,    ///< a collector; there may be pointers to other blocks in them
  noscan,  ///< a collector; it need not look into them
};
inline constexpr std::size_t span_kinds = 3;

/// A kind and a size class in one number: all classes of one kind, then those of the next.
using span_class = std::uint8_t;
inline constexpr std::size_t span_class_count = span_kinds * class_count;
static_assert(span_class_count < 255);
constexpr span_class span_class_of(span_kind kind, size_class c) noexcept {
  return static_cast<span_class>(static_cast<std::size_t>(kind) * class_count + c);
}
constexpr span_kind kind_of(std::size_t c) noexcept { return static_cast<span_kind>(c / class_count); }

/// Divides offsets in a span by the size of its blocks: one multiplication, whose upper half is the quotient, and whose
/// lower half says whether there is a remainder.
///
/// Source: D. Lemire, O. Kaser, N. Kurz, "Faster remainder by direct computation" (2019).
class divisor {
 public:
  /// By a number that no offset reaches: every quotient is 0, and it divides nothing but 0.
  constexpr divisor() noexcept = default;
  /// size: from 16 to 2^20. Quotients are exact for what is at most so large, too.
  constexpr explicit divisor(std::size_t size) noexcept : reciprocal_(~std::uint64_t{0} / size + 1) {}

  constexpr std::size_t quotient(std::size_t offset) const noexcept {
    return static_cast<std::size_t>(static_cast<wide>(offset) * reciprocal_ >> 64);
  }
  /// Whether offset is a multiple, and less than that many times the size; which one, if it is. Exact for any offset.
  constexpr bool divides(std::size_t offset, std::size_t times, std::size_t& which) const noexcept {
    // The reciprocal is rounded up, by so little that all blocks of a span together do not come to another one.
    const wide product = static_cast<wide>(offset) * reciprocal_;
    which = static_cast<std::size_t>(product >> 64);
    return static_cast<std::uint64_t>(product) < reciprocal_ && which < times;
  }
  constexpr bool divides(std::size_t offset, std::size_t times) const noexcept {
    std::size_t which = 0;
    return divides(offset, times, which);
  }

 private:
  __extension__ using wide = unsigned __int128;

  std::uint64_t reciprocal_ = 1;
};

/// A run of pages, cut into blocks of one size and kind. The record stands apart from the pages, so a block that
/// overflows cannot reach it, and pages without a block in use hold nothing but links.
///
/// Who owns a span (an mcache; or, if nobody does, who holds the lock of its mcentral) may take blocks out of `free`.
/// An owner puts them back into `free`, everybody else into `remote`. Invariants:
/// 1. A block is in use, or in one of: a magazine; `free`; what `teller` and those behind it tell of; `remote`; an
///    mcache's batch for the span; `fresh`, or behind `carved`.
/// 2. live + base, which wraps around, is the number of blocks that are not free, not told of, not fresh and not beyond
///    `carved`. What the owner puts back counts `live` down, and at 0 it looks.
/// 3. While `watched` is set, the span is full, and no block has been freed remotely since: the first who does so takes
///    the bit away and tells the owner, who may not give the span away before that has arrived (`notice_due`).
/// 4. While `at_mcentral` is set, nobody owns the span, and `left` is the number of its blocks in use when it was given
///    up. Who brings the number of blocks in `remote` to that has emptied it, and takes it back to the mheap.
///
/// Source: mimalloc (D. Leijen, B. Zorn, L. de Moura, "Mimalloc: Free List Sharding in Action", 2019) for lists in
/// pages; Go's mspan and mcentral for spans that nobody owns; the rest follows from giving them up early.
struct span : block_list {
  // --- of the owner; with the list a cache line of its own -------------------------------------------------------
  std::uint64_t fresh;   ///< blocks above 128 bytes: those without contents, perhaps without memory, one bit each
  std::uint32_t carved;  ///< other blocks: those from here on have never been touched
  span_state state;
  bool notice_due;        ///< somebody has taken `watched` away, and the word of it is under way
  bool zeroed;            ///< large: the pages read as zeros
  bool tidied;            ///< in an mcentral: the scavenger has looked at it
  std::uint8_t given_in;  ///< the scavenger's round in which it was given up
  std::uint16_t teller;   ///< the first remote_block of what is collected and not linked yet, as number_of() has it
  std::uint16_t told;     ///< how many blocks those are
  span* next;             ///< in the owner's list, in the mcentral's, or among records without use
  span* prev;
  span_checks* checks;  ///< what is known of each block where every call is checked

  // --- read by everybody ------------------------------------------------------------------------------------------
  alignas(64) atomic<mcache*> owner;  ///< null: nobody. Only the owner may take itself for the owner, so relaxed.
  char* start;
  std::size_t size;  ///< of a block; large: what was asked for, in whole pages
  std::uint32_t pages;
  std::uint16_t capacity;
  size_class klass;
  span_kind kind;
  atomic<std::uint8_t> listed;  ///< its span class + 1 while in that mcentral; written under its lock
  atomic<std::uint32_t> left;   ///< invariant 4
  atomic<std::uint64_t> remote;
  span* next_returned;  ///< in owner->returned
  divisor by_size;      ///< large: none

  std::uint32_t in_use() const noexcept { return live + base; }
  bool has_bits() const noexcept { return size > 128; }
  std::size_t bytes() const noexcept { return std::size_t{pages} << page_shift; }
  bool is_large() const noexcept { return klass == class_count; }
  std::size_t offset_of(const void* p) const noexcept {
    return static_cast<std::size_t>(static_cast<const char*>(p) - start);
  }
  /// The number of the block that p lies in; p lies in the span, which is of a class.
  std::size_t index_of(const void* p) const noexcept { return by_size.quotient(offset_of(p)); }
  /// The remote_block that stands in the block with this number.
  remote_block& teller_at(std::size_t index) const noexcept {
    return *reinterpret_cast<remote_block*>(start + index * size);
  }
  /// What names it in `teller` and remote_block::next: the number of its block, and 1; 0 for none.
  std::uint16_t number_of(const remote_block* b) const noexcept {
    return static_cast<std::uint16_t>(b == nullptr ? 0 : index_of(b) + 1);
  }
  /// Whether a block begins at p. Exact for any p: the span of a page in a large block may be anywhere.
  bool begins_block(const void* p) const noexcept { return by_size.divides(offset_of(p), capacity); }
  /// The same for a block that the program may free.
  bool begins_manual_block(const void* p) const noexcept { return kind == span_kind::manual && begins_block(p); }
  /// Whether this can be a link to a block of the span: if not, the block that it stands in was written after it was
  /// freed.
  bool may_link_to(const free_block* b) const noexcept {
    const auto at = reinterpret_cast<std::uintptr_t>(b);
    return at - reinterpret_cast<std::uintptr_t>(start) < bytes() && at % grain == 0;
  }
};

#if !defined(HEDDLE_MODEL) || !HEDDLE_MODEL  // the explorer's atomics are larger
static_assert(sizeof(span) == 128);
#endif

/// The word `remote`: a list that tells of the blocks that others have freed, how many they are, and what the next one
/// has to do.
namespace remote_word {
inline constexpr std::uint64_t watched = 1;      ///< Tell the owner. Set by it over an empty list, cleared by a freer.
inline constexpr std::uint64_t at_mcentral = 2;  ///< Compare with `left`. Set and cleared under the mcentral's lock.
inline constexpr std::uint64_t flags = watched | at_mcentral;
inline constexpr unsigned count_shift = 48;  // addresses of blocks have 47 bits, the lower four of them zero
inline constexpr std::uint64_t address_mask = (std::uint64_t{1} << count_shift) - 16;

inline remote_block* list(std::uint64_t word) noexcept { return reinterpret_cast<remote_block*>(word & address_mask); }
inline std::uint32_t count(std::uint64_t word) noexcept { return static_cast<std::uint32_t>(word >> count_shift); }
inline std::uint64_t make(remote_block* first, std::uint32_t count, std::uint64_t flag_bits) noexcept {
  return reinterpret_cast<std::uint64_t>(first) | std::uint64_t{count} << count_shift | flag_bits;
}
}  // namespace remote_word

/// Doubly linked, by span::next and prev.
class span_list {
 public:
  bool empty() const noexcept { return first_ == nullptr; }
  span* first() const noexcept { return first_; }
  void push_front(span& s) noexcept {
    s.prev = nullptr;
    s.next = first_;
    (first_ != nullptr ? first_->prev : last_) = &s;
    first_ = &s;
  }
  void push_back(span& s) noexcept {
    s.prev = last_;
    s.next = nullptr;
    (last_ != nullptr ? last_->next : first_) = &s;
    last_ = &s;
  }
  void erase(span& s) noexcept {
    (s.prev != nullptr ? s.prev->next : first_) = s.next;
    (s.next != nullptr ? s.next->prev : last_) = s.prev;
  }
  span* pop() noexcept {
    span* const s = first_;
    if (s != nullptr) erase(*s);
    return s;
  }

 private:
  span* first_ = nullptr;
  span* last_ = nullptr;
};

}  // namespace heddle::detail
