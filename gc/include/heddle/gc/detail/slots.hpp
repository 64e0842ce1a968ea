// SPDX-License-Identifier: BSL-1.0
//
// Which words of a type may hold an address, from the type alone: at compile time, but for types whose trace() has to
// be called.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#include "heddle/gc/detail/core.hpp"
#include "heddle/gc/detail/fields.hpp"
#include "heddle/gc/ptr.hpp"

namespace heddle::gc {

template <class T>
class layout;
template <class T>
struct trace;
template <class T>
class counted;

namespace detail {

/// A type with more is scanned word by word: its list would be longer than it.
inline constexpr std::size_t most_slots = 512;

/// Which slots a walk through a type is for: those that the collector follows, or those of counted pointers.
enum class wanted : std::uint8_t { traced, counted };

/// The slots of one type.
template <std::size_t Room>
struct slot_list {
  std::uint32_t count = 0;
  bool everything = false;  ///< each aligned word is to be looked at
  bool plain = false;       ///< some are no gc::ptr: their changes are not told of
  bool hidden = false;      ///< there are members whose slots nobody tells of
  bool other = false;       ///< there are slots of pointers of the kind that is not wanted
  std::array<std::uint32_t, Room == 0 ? 1 : Room> offsets{};
};
template <class T>
using slots_in = slot_list<std::min(sizeof(T) / sizeof(void*), most_slots)>;

/// Writes one.
class slot_writer {
 public:
  template <std::size_t Room>
  constexpr explicit slot_writer(slot_list<Room>& to, wanted which = wanted::traced) noexcept
      : to_(to.offsets.data()),
        count_(to.count),
        everything_(to.everything),
        plain_(to.plain),
        hidden_(to.hidden),
        other_(to.other),
        room_(Room),
        which_(which) {}

  /// A gc::ptr.
  constexpr void traced_slot(std::size_t at) noexcept {
    if (which_ == wanted::traced) return slot(at);
    other_ = true;
  }
  /// A plain pointer: the collector follows it, and it counts nothing.
  constexpr void plain_slot(std::size_t at) noexcept {
    if (which_ != wanted::traced) return;
    plain_ = true;
    slot(at);
  }
  /// A gc::counted.
  constexpr void counted_slot(std::size_t at) noexcept {
    if (which_ == wanted::counted) return slot(at);
    other_ = true;
    everything();  // for may_hold()
  }
  /// Members of which nothing is known.
  constexpr void everything() noexcept {
    hidden_ = true;
    if (which_ == wanted::traced) everything_ = true;
  }
  /// Pointers of the kind that is not wanted, wherever they are.
  constexpr void mixed() noexcept { other_ = true; }
  constexpr wanted which() const noexcept { return which_; }
  constexpr bool is_over() const noexcept { return everything_; }

 private:
  constexpr void slot(std::size_t at) noexcept {
    if (count_ != room_ && at % sizeof(void*) == 0) {
      to_[count_++] = static_cast<std::uint32_t>(at);
    } else {
      everything();
    }
  }

  std::uint32_t* to_;
  std::uint32_t& count_;
  bool& everything_;
  bool& plain_;
  bool& hidden_;
  bool& other_;
  std::size_t room_;
  wanted which_;
};

template <class T>
inline constexpr bool is_counted = false;
template <class T>
inline constexpr bool is_counted<counted<T>> = true;
template <class T>
inline constexpr bool is_counted<const counted<T>> = true;

template <class T>
inline constexpr bool is_ptr = false;
template <class T>
inline constexpr bool is_ptr<ptr<T>> = true;
template <class T>
inline constexpr bool is_ptr<const ptr<T>> = true;
template <class T>
inline constexpr bool has_ptr = is_ptr<T>;
template <class A, class B>
inline constexpr bool has_ptr<std::pair<A, B>> = is_ptr<A> || is_ptr<B>;  // an element of a map
template <class T>
inline constexpr bool has_counted = is_counted<T>;
template <class A, class B>
inline constexpr bool has_counted<std::pair<A, B>> = is_counted<A> || is_counted<B>;

/// A number, a name of a constant, a function: no object's address.
template <class T>
concept plain = std::is_arithmetic_v<T> || std::is_enum_v<T> || std::is_null_pointer_v<T> ||
    std::is_member_pointer_v<T> || std::is_function_v<std::remove_pointer_t<T>>;

/// A specialisation of trace describes T.
template <class T>
concept known_by_members = requires {
  typename trace<T>::laid_out_as;
};
template <class T>
concept known_noscan = requires {
  requires trace<T>::noscan;
};
/// It has members of these types somewhere.
template <class T>
concept known_to_hide = requires {
  typename trace<T>::hides;
};
template <class T>
concept traced_outside = requires(layout<T>& l) {
  trace<T>::members(l);
};
template <class T>
concept traced_inside = requires(layout<T>& l) {
  T::trace(l);
};

/// A container that keeps its elements in memory of malloc.
template <class T>
concept std_container = requires {
  typename T::value_type;
  requires std::is_same_v<typename T::allocator_type, std::allocator<typename T::value_type>>;
};

template <class T>
constexpr void find_slots(slot_writer& w, std::size_t at);

/// A reference is an address.
template <class T>
using stored_as = std::conditional_t<std::is_reference_v<T>, std::remove_reference_t<T>*, std::remove_cv_t<T>>;

template <class T>
constexpr bool may_hold() {
  slot_list<0> none;
  slot_writer w(none);
  find_slots<T>(w, 0);
  return none.everything;
}

/// The compiler knows that T has no slot. Not so if somebody's trace() would have to be asked.
template <class T>
concept holds_nothing = requires {
  requires std::bool_constant < !may_hold<T>()
  > ::value;
};

/// Whether a T has a pointer of the kind that is not wanted.
template <class T>
constexpr bool holds_other(wanted which) {
  slot_list<0> none;
  slot_writer w(none, which);
  find_slots<T>(w, 0);
  return none.other;
}
/// Members whose places are not known.
template <class... Member>
constexpr void find_hidden(slot_writer& w, types<Member...>) {
  if ((may_hold<Member>() || ...)) w.everything();
  if ((holds_other<Member>(w.which()) || ...)) w.mixed();
}

constexpr std::size_t rounded_up(std::size_t n, std::size_t to) noexcept { return (n + to - 1) / to * to; }

/// Whether the members stand one after the other, each as soon as its alignment allows. Else the size differs: alignas,
/// bit-fields and [[no_unique_address]] change it. Only up to the alignment of an address: what alignas moves a slot by
/// is then a multiple of it, and nothing behind can make up for it.
template <class Whole, class... Member>
consteval bool follow_each_other(types<Member...>) {
  std::size_t end = 0;
  ((end = rounded_up(end, alignof(stored_as<Member>)) + sizeof(stored_as<Member>)), ...);
  return alignof(Whole) <= alignof(void*) && alignof(Whole) == std::max({alignof(stored_as<Member>)...}) &&
         rounded_up(end, alignof(Whole)) == sizeof(Whole);
}
template <class Whole, class... Member>
constexpr void find_in_members(slot_writer& w, std::size_t at, types<Member...> members) {
  if constexpr (follow_each_other<Whole>(members)) {
    std::size_t end = 0;
    ((end = rounded_up(end, alignof(stored_as<Member>)), find_slots<Member>(w, at + end),
      end += sizeof(stored_as<Member>)),
     ...);
  } else {
    find_hidden(w, members);
  }
}

template <class T>
constexpr void find_in_array(slot_writer& w, std::size_t at) {
  using element = std::remove_extent_t<T>;
  if (!may_hold<element>()) return;
  if (w.is_over() && holds_other<element>(w.which())) w.mixed();
  for (std::size_t i = 0; i != std::extent_v<T> && !w.is_over(); ++i) find_slots<element>(w, at + i * sizeof(element));
}

template <class T>
constexpr void find_in_container(slot_writer& w) {
  using element = typename T::value_type;
  static_assert(!has_ptr<element>,
                "a std container keeps its elements in memory that the collector does not scan: "
                "use gc::vector or gc::hash_map, or gc::root as the element");
  if (has_counted<element> && w.which() == wanted::traced) w.mixed();
  // It may have room for a few of its own.
  if constexpr (!plain<element> && !std_container<element>) w.everything();
}

template <class T>
constexpr void find_in_class(slot_writer& w, std::size_t at) {
  if constexpr (known_noscan<T>) {
  } else if constexpr (known_by_members<T>) {
    find_in_members<T>(w, at, typename trace<T>::laid_out_as{});
  } else if constexpr (known_to_hide<T>) {
    find_hidden(w, typename trace<T>::hides{});
  } else if constexpr (traced_outside<T>) {
    layout<T> l(w, at);
    trace<T>::members(l);
  } else if constexpr (traced_inside<T>) {
    layout<T> l(w, at);
    T::trace(l);
  } else if constexpr (std_container<T>) {
    find_in_container<T>(w);
  } else if constexpr (can_be_taken_apart<T>) {
    find_in_members<T>(w, at, fields_of<T>{});
  } else if constexpr (sizeof(T) >= sizeof(void*) && !std::is_empty_v<T>) {
    w.everything();
  }
}

/// Tells w of each word of a T at the offset `at` that may hold an address.
template <class T>
constexpr void find_slots(slot_writer& w, std::size_t at) {
  using stored = stored_as<T>;
  if constexpr (plain<stored>) {
  } else if constexpr (std::is_pointer_v<stored>) {
    w.plain_slot(at);
  } else if constexpr (is_ptr<stored>) {
    w.traced_slot(at);
  } else if constexpr (is_counted<stored>) {
    w.counted_slot(at);
  } else if constexpr (std::is_bounded_array_v<stored>) {
    find_in_array<stored>(w, at);
  } else {
    find_in_class<stored>(w, at);
  }
}

template <class T, wanted Which = wanted::traced>
constexpr slots_in<T> slots_of() {
  slots_in<T> found;
  slot_writer w(found, Which);
  find_slots<T>(w, 0);
  if (found.everything) found.count = 0;
  const auto end = found.offsets.begin() + found.count;
  std::sort(found.offsets.begin(), end);
  found.count = static_cast<std::uint32_t>(std::unique(found.offsets.begin(), end) - found.offsets.begin());
  return found;
}
/// Nobody's trace() has to be called.
template <class T, wanted Which = wanted::traced>
concept found_by_compiler = requires {
  typename std::integral_constant<std::uint32_t, slots_of<T, Which>().count>;
};

}  // namespace detail
}  // namespace heddle::gc
