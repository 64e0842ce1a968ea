// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "heddle/gc/detail/slots.hpp"

namespace heddle::gc {

/// How the collector finds the addresses in an object of type T. Most types need nothing:
/// - an aggregate (public members, no base, no constructor) is taken apart by the compiler: members that are gc::ptr,
///   pointers, references, C arrays, std::array, std::pair and aggregates again;
/// - what holds no address (numbers, enumerations, std::string, aggregates and arrays of such) is not scanned at all;
/// - every other type is scanned word by word, which finds everything, costs time, and may keep what a number happens
/// to
///   point to: classes with constructors, private members or bases, unions, std::variant.
///
/// A class with private members or a base declares its members, if it wants to be scanned precisely:
///
///     class node : public named {
///      public:
///       static void trace(gc::layout<node>& l) { l(&node::left_, &node::right_).base<named>(); }
///      private:
///       gc::ptr<node> left_, right_;
///     };
///
/// trace() is called once for the type, before the first object is made, and gets no object: it declares where members
/// are. Nothing of the program's runs while the collector marks. Members that trace() does not declare are not scanned:
/// what they point to dies. For a type of others, gc::trace<T> is specialised instead.
///
/// An aggregate with a member of an anonymous union does not compile without trace(): declare everything() then. So
/// does an aggregate with both bit-fields and alignas, whose members the compiler would look for in the wrong place.
template <class T>
class layout {
 public:
  layout(detail::slot_writer& to, std::size_t at) noexcept : to_(to), at_(at) {}

  /// Declares members, of T or of a base that is not virtual.
  template <class... Member, class... Class>
  requires(std::is_base_of_v<Class, T>&&...) layout& operator()(Member Class::*... members) {
    (detail::find_slots<Member>(to_, at_ + offset_of<Member>(members)), ...);
    return *this;
  }
  /// Declares a base, with what it declares itself or what the compiler finds in it. Not a virtual one.
  template <class Base>
  requires std::is_base_of_v<Base, T> layout& base() {
    detail::find_slots<Base>(to_, at_ + offset_of_base<Base>());
    return *this;
  }
  /// Declares that every aligned word may hold an address.
  layout& everything() noexcept {
    to_.everything();
    return *this;
  }

 private:
  /// In the C++ ABI of this platform a pointer to a data member is the member's offset.
  template <class Member>
  static std::size_t offset_of(Member T::*member) noexcept {
    return static_cast<std::size_t>(std::bit_cast<std::ptrdiff_t>(member));
  }
  template <class Base>
  static std::size_t offset_of_base() noexcept {
    constexpr std::uintptr_t somewhere = 4096;  // not null, which would stay null
    T* const whole = reinterpret_cast<T*>(somewhere);
    return reinterpret_cast<std::uintptr_t>(static_cast<Base*>(whole)) - somewhere;
  }

  detail::slot_writer& to_;
  std::size_t at_;
};

/// A program describes by this a type that it cannot change. A specialisation has one of:
///
///     template <> struct heddle::gc::trace<other::pair> {
///       static void members(gc::layout<other::pair>& l) { l(&other::pair::first, &other::pair::second); }
///     };
///     template <> struct heddle::gc::trace<other::number> { static constexpr bool noscan = true; };
template <class T>
struct trace {};

namespace detail {

/// Usable by the compiler, so nobody has written a destructor for it: one that is not constexpr.
template <class T>
constexpr bool made_and_destroyed() {
  [[maybe_unused]] T made{};
  return true;
}
template <class T>
concept destroyed_by_compiler = can_be_taken_apart<T> && std::is_default_constructible_v<T> && requires {
  typename std::bool_constant<made_and_destroyed<T>()>;
};

template <class T>
consteval bool is_silent();

}  // namespace detail

/// Whether the destructor of a T has to run when the collector finds the object dead. Not that of gc::ptr, of what this
/// module has, nor of an aggregate of such: it would only say that the slots are gone. Yes for every other destructor
/// that is not trivial, also for one that the compiler wrote for a class with private members. A class of which the
/// program knows that nothing needs to be done says so, and its objects are freed sooner and cheaper:
///
///     template <> inline constexpr bool heddle::gc::needs_destructor<node> = false;
template <class T>
inline constexpr bool needs_destructor = !detail::is_silent<T>();

namespace detail {

template <class... T>
consteval bool are_silent(types<T...>) {
  return (!needs_destructor<stored_as<T>> && ...);
}

template <class T>
consteval bool is_silent() {
  if constexpr (std::is_trivially_destructible_v<T> || is_ptr<T> || requires { requires trace<T>::silent; }) {
    return true;
  } else if constexpr (std::is_bounded_array_v<T>) {
    return !needs_destructor<std::remove_cv_t<std::remove_all_extents_t<T>>>;
  } else if constexpr (known_by_members<T>) {
    return are_silent(typename trace<T>::laid_out_as{});
  } else if constexpr (destroyed_by_compiler<T>) {
    return are_silent(fields_of<T>{});
  } else {
    return false;
  }
}

}  // namespace detail
}  // namespace heddle::gc

#include "heddle/gc/detail/known_types.hpp"  // trace for types of std
