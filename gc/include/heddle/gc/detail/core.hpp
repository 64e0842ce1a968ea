// SPDX-License-Identifier: BSL-1.0
//
// The public headers of the collector are built on this: descriptions of types, memory for objects, the write barrier,
// weak cells, cleanups and roots.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "heddle/detail/config.hpp"
#include "heddle/gc/detail/barrier.hpp"  // the write barrier: store(), store_first(), forget(), shade()

namespace heddle::gc::detail {

/// How the marker finds the addresses in an object.
enum class scanning : std::uint8_t {
  none,          ///< there are none
  precise,       ///< at the offsets that its type declares
  conservative,  ///< every aligned word may be one
};

/// A type, as the collector knows it. One constant for each; the collector copies it when the first object is made,
/// but for `destroy`, which must stay callable while objects exist.
struct type_description {
  const char* name;         ///< as people read it; ended by zero
  std::uint32_t size;       ///< bytes of an object, or of an element of an array
  std::uint32_t alignment;  ///< at most 16
  scanning how;
  std::uint32_t slot_count;         ///< precise: how many offsets
  const std::uint32_t* slots;       ///< precise: the offsets of words that hold an address or null, ascending, in bytes
  void (*destroy)(void*) noexcept;  ///< the destructor of one; null: trivial
  bool has_plain = false;           ///< some words are perhaps no gc::ptr: nobody tells of their changes
};

/// The collector's name for a description; 0: it has not been asked yet.
struct type_handle {
  const type_description* description;
  std::atomic<std::uint32_t> of_objects{0};
  std::atomic<std::uint32_t> of_arrays{0};
};

/// Memory for one object. All zero, unless its type holds no addresses: then with any contents. It is kept while an
/// address in it is found. Throws std::bad_alloc when a full collection does not help. O(1).
HEDDLE_EXPORT void* allocate(type_handle& t);
/// The same for n elements, one after the other. n: up to 2^40 bytes in all; 0: an address of its own. An array of a
/// type with a destructor destroys `n` elements, the last one first.
HEDDLE_EXPORT void* allocate_array(type_handle& element, std::size_t n);
/// The object has been constructed: its destructor is to run when it dies. Only for types with one. Before, it is
/// memory that nobody destroys. For arrays: all elements have been.
HEDDLE_EXPORT void constructed(void* object) noexcept;
/// The destructor is not to run any more: the caller has run it.
HEDDLE_EXPORT void destroyed(void* object) noexcept;

/// Where the object that p points into begins, and its bytes; null if p points into none. Slow: for debugging, weak
/// references and containers.
struct object_extent {
  void* start;
  std::size_t bytes;
};
HEDDLE_EXPORT object_extent extent_of(const void* p) noexcept;

/// exchange(), compare_exchange_strong() of a slot, with barriers for what was really replaced. seq_cst.
HEDDLE_EXPORT void* exchange(void** slot, void* value) noexcept;
HEDDLE_EXPORT bool compare_exchange(void** slot, void*& expected, void* desired) noexcept;
/// A weak reference's share: a collected object that holds an address without keeping it. One for each call.
struct weak_cell;
HEDDLE_EXPORT weak_cell* make_weak(const void* object_or_inside);
/// The address, which is kept from now on as any other on a stack is; null: the object has died.
HEDDLE_EXPORT void* lock(weak_cell& c) noexcept;

/// A pair whose second address is kept only while the object of the first one is alive for another reason: a collected
/// object. When the key has died, both are null.
struct ephemeron_cell;
HEDDLE_EXPORT ephemeron_cell* make_ephemeron(const void* key, void* value);
HEDDLE_EXPORT void* key_of(ephemeron_cell& c) noexcept;
HEDDLE_EXPORT void* value_of(ephemeron_cell& c) noexcept;
HEDDLE_EXPORT void set_value(ephemeron_cell& c, void* value) noexcept;

/// f(argument) is called once, on a fiber, after the object has died. Returns a number to cancel it with. Throws
/// std::bad_alloc. The argument's memory is the caller's.
HEDDLE_EXPORT std::uint64_t add_cleanup(const void* object, void (*f)(void*), void* argument);
/// False: it has been called, or is about to be.
HEDDLE_EXPORT bool cancel_cleanup(std::uint64_t number) noexcept;

/// A word that keeps an object while the cell is in the list of all.
struct root_cell {
  void* address = nullptr;
  root_cell* next = nullptr;
  root_cell* previous = nullptr;
};
HEDDLE_EXPORT void add_root(root_cell& c) noexcept;
HEDDLE_EXPORT void remove_root(root_cell& c) noexcept;

}  // namespace heddle::gc::detail
