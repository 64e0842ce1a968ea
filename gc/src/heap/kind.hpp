// SPDX-License-Identifier: BSL-1.0
//
// A kind is a type and a size of blocks, and each span is of one kind. The kind's number stands beside the page. By it
// the marker finds all that it must know of an object.
#pragma once

#include <cstddef>
#include <cstdint>

#include "heddle/detail/platform.hpp"
#include "heddle/detail/size_class.hpp"
#include "heddle/detail/thread_mutex.hpp"
#include "heddle/gc/detail/core.hpp"

namespace heddle::gc::detail {

using heddle::detail::atomic;
using heddle::detail::class_count;
using heddle::detail::page_shift;
using heddle::detail::page_size;
using heddle::detail::size_class;

/// Numbers of kinds, from 1. 0: no span.
using kind_number = std::uint16_t;
inline constexpr std::size_t most_kinds = std::size_t{1} << 15;

/// How the marker goes through a block.
enum class walk : std::uint8_t {
  none,          ///< it need not
  pattern,       ///< a bit for each word: blocks of up to 64 words
  slots,         ///< offsets in an element, elements one after the other
  conservative,  ///< every word
  weak,          ///< a weak cell: nothing in it keeps anything
  ephemeron,     ///< an ephemeron cell
};

/// Constant once its number is known to anybody.
struct alignas(64) kind {
  std::uint64_t reciprocal;  ///< 2^48 / size, rounded up: exact for what is below 2^18
  std::uint64_t pattern;     ///< walk::pattern: bit i, word i of a block may hold an address
  std::uint32_t size;        ///< bytes of a block; 0: large, a span has one block of its own size
  std::uint32_t element;     ///< bytes of an object, or of an element
  std::uint32_t slot_count;  ///< of an element
  std::uint16_t capacity;    ///< blocks in a span
  std::uint16_t pages;       ///< of a span; 0: large
  const std::uint32_t* slots;
  walk how;
  bool is_array;
  bool has_plain;  ///< some words are perhaps no gc::ptr: nobody tells of their changes
  /// Of counted objects (gc/src/count): the header's bytes and count_ending, else 0. The collector has no list of their
  /// spans, and no allocated bits, so it does not see them; `slots` are counted pointers.
  std::uint8_t counted;
  size_class klass;
  kind_number number;
  // --- for the end of objects, and for people --------------------------------------------------------------------
  void (*destroy)(void*) noexcept;
  const char* name;

  bool is_large() const noexcept { return size == 0; }
  std::size_t count_header_bytes() const noexcept { return counted & ~std::size_t{7}; }  ///< before a counted object
  std::uint8_t count_ending() const noexcept { return counted & 7; }
  /// Of types without addresses and without a destructor: no type's own.
  bool is_shared() const noexcept { return name == shared_name; }
  static constexpr char shared_name[] = "(without addresses)";
  std::size_t index_of(std::size_t offset) const noexcept { return offset * reciprocal >> 48; }
  std::size_t words_of_bits() const noexcept { return (std::size_t{capacity} + 63) / 64; }
};

/// All kinds of the process. They are never taken back.
class kind_table {
 public:
  constexpr kind_table() noexcept = default;

  const kind& operator[](std::size_t number) const noexcept { return kinds_[number]; }
  std::size_t count() const noexcept {
    // acquire: so that the kinds are seen as they were made; release half in add().
    return count_.load(std::memory_order_acquire);
  }
  /// The kind of single objects of a type; 0: no memory. From any thread.
  kind_number of_objects(type_handle& t) noexcept;
  /// The kind of arrays of so many bytes.
  kind_number of_arrays(type_handle& element, std::size_t bytes) noexcept;
  /// Those of weak and ephemeron cells.
  kind_number of_cells(walk how, std::size_t bytes, const char* name) noexcept;

  /// Of counted objects of a type, or of arrays of it: blocks of so many bytes, 0 for large ones, in spans of so many
  /// pages; `header`: before the object. The name and the slots are copied.
  kind_number add_counted(const type_description& d, std::uint8_t ending, std::size_t header, std::size_t bytes,
                          std::size_t pages, bool is_array) noexcept;

  heddle::detail::thread_mutex& lock() noexcept { return lock_; }  // for fork

 private:
  struct family;
  bool begin() noexcept HEDDLE_REQUIRES(lock_);
  kind_number add(const kind& k) noexcept HEDDLE_REQUIRES(lock_);
  kind_number plain(size_class c) noexcept HEDDLE_REQUIRES(lock_);
  kind make(const type_description& d, size_class c, bool is_array) const noexcept HEDDLE_REQUIRES(lock_);
  family* family_of(type_handle& t) noexcept HEDDLE_REQUIRES(lock_);

  heddle::detail::thread_mutex lock_{heddle::detail::lock_rank::kinds};
  kind* kinds_ = nullptr;
  family* families_ = nullptr;
  atomic<std::size_t> count_{1};
  std::size_t family_count_ HEDDLE_GUARDED_BY(lock_) = 1;
  kind_number plain_[class_count + 1] HEDDLE_GUARDED_BY(lock_) = {};  // without addresses, by class
};

extern constinit kind_table the_kinds;

}  // namespace heddle::gc::detail
