// SPDX-License-Identifier: BSL-1.0
//
// A type as the collector is told of it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include "heddle/gc/detail/core.hpp"
#include "heddle/gc/layout.hpp"

namespace heddle::gc::detail {

/// The name of T as the compiler writes it in the name of a function.
template <class T>
constexpr std::string_view spelled() noexcept {
  const std::string_view function = __PRETTY_FUNCTION__;
  const std::size_t from = function.find("T = ") + 4;
  return function.substr(from, function.find_first_of(";]", from) - from);
}
/// The same, ended by zero.
template <class T>
inline constexpr auto name_of = [] {
  constexpr std::string_view name = spelled<T>();
  std::array<char, name.size() + 1> ended{};
  for (std::size_t i = 0; i != name.size(); ++i) ended[i] = name[i];
  return ended;
}();

template <class T>
void destroy(void* object) noexcept {
  static_cast<T*>(object)->~T();
}

template <class T>
constexpr type_description described_by(const slots_in<T>& found) noexcept {
  type_description d{};
  d.name = name_of<T>.data();
  d.size = static_cast<std::uint32_t>(sizeof(T));
  d.alignment = static_cast<std::uint32_t>(alignof(T));
  d.how = found.everything ? scanning::conservative : found.count != 0 ? scanning::precise : scanning::none;
  d.slot_count = found.count;
  d.slots = found.offsets.data();
  d.has_plain = found.plain || found.everything;
  if constexpr (needs_destructor<T>) d.destroy = &destroy<T>;
  return d;
}

/// A type of which the compiler knows all.
template <class T>
struct constant_description {
  static constexpr slots_in<T> found = slots_of<T>();
  static_assert(
      !found.other,
      "a collected object has a gc::counted as a member: the collector does not look into counted objects, so "
      "a cycle through both would be a leak. Make both of one family; or keep the counted one by a "
      "std::unique_ptr<gc::counted<...>>, and make no such cycle");
  static constexpr type_description description = described_by<T>(found);
  static inline constinit type_handle handle{&description};
};
/// A type whose trace() is called when the first object is made. Trivially destructible, so it outlives everything.
template <class T>
struct declared_description {
  slots_in<T> found = slots_of<T>();
  type_description description = described_by<T>(found);
  type_handle handle{&description};
};

[[noreturn]] HEDDLE_EXPORT void refuse_counted_member(const char* type);

template <class T>
type_handle& handle_of() {
  static_assert(std::is_object_v<T> && !std::is_array_v<T> && std::is_same_v<T, std::remove_cv_t<T>>,
                "gc::make is for objects; gc::make_array for arrays");
  static_assert(alignof(T) <= 16, "objects of the collector are aligned to 16 at most");
  static_assert(sizeof(T) <= 1u << 30,
                "an object of the collector has at most 1 GiB; gc::make_array has no such bound");
  if constexpr (found_by_compiler<T>) {
    return constant_description<T>::handle;
  } else {
    static declared_description<T> declared;
    if (declared.found.other) [[unlikely]]
      refuse_counted_member(declared.description.name);
    return declared.handle;
  }
}

}  // namespace heddle::gc::detail
