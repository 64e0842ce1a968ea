// SPDX-License-Identifier: BSL-1.0
//
// A type of counted objects: where its counted pointers are, and what has to happen when an object of it dies.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "heddle/gc/detail/count_words.hpp"
#include "heddle/gc/detail/describe.hpp"

namespace heddle::gc::detail {

/// The end of a dead object, or of each element of a dead array.
enum class count_ending : std::uint8_t {
  slots,    ///< its counted pointers are dropped; there is nothing else to do
  members,  ///< its counted pointers are dropped, then its destructor runs, which has none left
  object,   ///< its destructor runs, and drops what it holds itself
};

/// One constant for each type. The library copies it when the first object is made, but for `destroy`.
struct count_description {
  type_description of;  ///< `slots`: the counted pointers; `destroy`: null with count_ending::slots
  count_ending ending;
  void (*finish)(void*) noexcept = nullptr;
};

/// The library's name for a description; 0: it has not been asked yet.
struct count_handle {
  const count_description* description;
  heddle::detail::atomic<std::uint32_t> of_objects{0};
  heddle::detail::atomic<std::uint32_t> of_arrays{0};
};

/// Memory for an object: behind its header, with any contents. `base`: of the thread's words, for publish().
struct count_memory {
  void* at;
  std::uint32_t base;
};
/// Throws std::bad_alloc.
HEDDLE_EXPORT count_memory make_slowly(count_handle& t);
/// For n elements, of 2^40 bytes at most. Throws std::bad_alloc.
HEDDLE_EXPORT count_memory make_elements(count_handle& element, std::size_t n);
/// Memory in which no object has been made after all.
HEDDLE_EXPORT void discard(void* memory) noexcept;
/// The header of the counted object that p points into; null if p points into none, or into one that is under
/// construction or being destroyed.
HEDDLE_EXPORT count_header* header_around(const volatile void* p) noexcept;
/// The bytes from the header to the end of the object's block.
HEDDLE_EXPORT std::size_t bytes_behind(const count_header& h) noexcept;

/// Whether nothing is left to do for a T when its counted pointers have been dropped.
template <class T>
consteval bool ends_with_slots();
template <class... T>
consteval bool all_end_with_slots(types<T...>) {
  return (ends_with_slots<stored_as<T>>() && ...);
}
template <class T>
consteval bool ends_with_slots() {
  if constexpr (std::is_trivially_destructible_v<T> || is_counted<T>) {
    return true;
  } else if constexpr (std::is_bounded_array_v<T>) {
    return ends_with_slots<std::remove_cv_t<std::remove_all_extents_t<T>>>();
  } else if constexpr (known_by_members<T>) {
    return all_end_with_slots(typename trace<T>::laid_out_as{});
  } else if constexpr (destroyed_by_compiler<T>) {
    return all_end_with_slots(fields_of<T>{});
  } else {
    return false;
  }
}

template <class T>
constexpr count_description count_described_by(const slots_in<T>& found) noexcept {
  count_description d{};
  d.of.name = name_of<T>.data();
  d.of.size = static_cast<std::uint32_t>(sizeof(T));
  d.of.alignment = static_cast<std::uint32_t>(alignof(T));
  d.of.how = found.count != 0 ? scanning::precise : scanning::none;
  d.of.slot_count = found.count;
  d.of.slots = found.offsets.data();
  d.ending = ends_with_slots<T>() && !found.hidden ? count_ending::slots
             : destroyed_by_compiler<T>            ? count_ending::members
                                                   : count_ending::object;
  if (d.ending != count_ending::slots) d.of.destroy = &destroy<T>;
  return d;
}

template <class T>
struct constant_count_description {
  static constexpr slots_in<T> found = slots_of<T, wanted::counted>();
  static_assert(
      !found.other,
      "a gc::counted object has a gc::ptr as a member: the collector does not look into counted objects, so "
      "what it points to would die. Keep it by gc::root, and make no cycle through both: that would be a leak");
  static constexpr count_description description = count_described_by<T>(found);
  static inline constinit count_handle handle{&description};
};
/// A type whose trace() is called when the first object is made.
template <class T>
struct declared_count_description {
  slots_in<T> found = slots_of<T, wanted::counted>();
  count_description description = count_described_by<T>(found);
  count_handle handle{&description};
};
[[noreturn]] HEDDLE_EXPORT void refuse_traced_member(const char* type);

template <class T>
count_handle& count_handle_of() {
  static_assert(std::is_object_v<T> && !std::is_array_v<T> && std::is_same_v<T, std::remove_cv_t<T>>,
                "gc::make_counted is for objects, and for arrays of unknown bounds");
  static_assert(alignof(T) <= 16, "counted objects are aligned to 16 at most");
  static_assert(sizeof(T) <= 1u << 30, "a counted object has at most 1 GiB; an array has no such bound");
  if constexpr (found_by_compiler<T, wanted::counted>) {
    return constant_count_description<T>::handle;
  } else {
    static declared_count_description<T> declared;
    if (declared.found.other) [[unlikely]]
      refuse_traced_member(declared.description.of.name);
    return declared.handle;
  }
}

/// Memory for a T.
template <class T>
count_memory allocate_counted(count_handle& t) {
  // acquire: so that the kind is seen; release half in kind_of(), gc/src/cycle/allocate_counted.cpp.
  const std::uint32_t number = t.of_objects.load(std::memory_order_acquire);
  const count_call inside;
  const std::uint32_t base = inside.base();
  if (base != 0 && number != 0) [[likely]] {
    count_shelf& shelf = inside.shelves()[number];
    void* const p = shelf.free;
    if (p != nullptr) [[likely]] {
      shelf.free = *static_cast<void**>(p);
      inside.end();
      return {p, base};
    }
  }
  inside.end();
  return make_slowly(t);
}
/// The object has been constructed: it has one reference, the owner's.
template <class T>
std::uintptr_t publish(count_memory m, bool can_be_in_cycles) noexcept {
  auto* const h = static_cast<count_header*>(m.at) - 1;
  // release: so that a search for cycles finds what the constructor has written; acquire half in lives(),
  // gc/src/count/search.cpp.
  h->local.store(m.base & ~(can_be_in_cycles ? local_bits::noted : 0), std::memory_order_release);
  return word_of(m.at, h);
}

/// Gives the memory back if the constructor throws.
class count_guard {
 public:
  explicit count_guard(void* memory) noexcept : memory_(memory) {}
  ~count_guard() {
    if (memory_ != nullptr) discard(memory_);
  }
  count_guard(const count_guard&) = delete;
  count_guard& operator=(const count_guard&) = delete;
  void release() noexcept { memory_ = nullptr; }

 private:
  void* memory_;
};

}  // namespace heddle::gc::detail
