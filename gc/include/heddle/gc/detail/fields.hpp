// SPDX-License-Identifier: BSL-1.0
//
// The types of an aggregate's members, found by the compiler: how many there are from what initialises it, which they
// are from a structured binding.
//
// Boost.PFR does the same and is not used. An aggregate with a C array as a member (`char name[32]`), with a base or
// with a member that nothing initialises by default makes PFR (1.81) end the compilation, and no caller can ask first.
// And a layout must not depend on the Boost that one of two translation units saw.
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

#include "heddle/detail/config.hpp"

namespace heddle::gc::detail {

template <class... T>
struct types {};

/// As many members as are told apart at most.
inline constexpr std::size_t most_fields = 24;
/// The members are more, or cannot be counted.
inline constexpr std::size_t unknown_fields = most_fields + 1;

/// Initialises anything but the aggregate itself and its bases.
template <class Aggregate>
struct any_field {
  template <class T>
  requires(!std::is_base_of_v<T, Aggregate>) operator T() const noexcept;
};
/// Initialises the first base of the aggregate only.
template <class Aggregate>
struct any_base {
  template <class T>
  requires(std::is_base_of_v<T, Aggregate> && !std::is_same_v<T, Aggregate>) operator T() const noexcept;
};
template <class T>
concept with_base = requires {
  T{any_base<T>{}};
};

// One line for each count. Each member is initialised by its own pair of braces, so an array counts as one. A member
// that braces do not initialise ends the search: if something else would, there are more members than have been
// counted.
// clang-format off
#define HEDDLE_GC_FIELDS(count, ...)                                                              \
  if constexpr (!requires { T{__VA_ARGS__ __VA_OPT__(, ) {}}; })                                  \
    return requires { T{__VA_ARGS__ __VA_OPT__(, ) any_field<T>{}}; } ? unknown_fields : count;   \
  else

/// How many members the aggregate T has.
template <class T>
consteval std::size_t field_count() {
  HEDDLE_GC_FIELDS(0)
  HEDDLE_GC_FIELDS(1, {})
  HEDDLE_GC_FIELDS(2, {}, {})
  HEDDLE_GC_FIELDS(3, {}, {}, {})
  HEDDLE_GC_FIELDS(4, {}, {}, {}, {})
  HEDDLE_GC_FIELDS(5, {}, {}, {}, {}, {})
  HEDDLE_GC_FIELDS(6, {}, {}, {}, {}, {}, {})
  HEDDLE_GC_FIELDS(7, {}, {}, {}, {}, {}, {}, {})
  HEDDLE_GC_FIELDS(8, {}, {}, {}, {}, {}, {}, {}, {})
  HEDDLE_GC_FIELDS(9, {}, {}, {}, {}, {}, {}, {}, {}, {})
  HEDDLE_GC_FIELDS(10, {}, {}, {}, {}, {}, {}, {}, {}, {}, {})
  HEDDLE_GC_FIELDS(11, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {})
  HEDDLE_GC_FIELDS(12, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {})
  HEDDLE_GC_FIELDS(13, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {})
  HEDDLE_GC_FIELDS(14, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {})
  HEDDLE_GC_FIELDS(15, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {})
  HEDDLE_GC_FIELDS(16, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {})
  HEDDLE_GC_FIELDS(17, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {})
  HEDDLE_GC_FIELDS(18, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {})
  HEDDLE_GC_FIELDS(19, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {})
  HEDDLE_GC_FIELDS(20, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {})
  HEDDLE_GC_FIELDS(21, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {})
  HEDDLE_GC_FIELDS(22, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {})
  HEDDLE_GC_FIELDS(23, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {})
  HEDDLE_GC_FIELDS(24, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {})
  return unknown_fields;
}
#undef HEDDLE_GC_FIELDS

/// The members' types, as they are declared, in their order. Never called.
template <class T, std::size_t Count>
auto fields(T& t) {
  if constexpr (Count == 1) {
    auto& [a] = t;
    return types<decltype(a)>{};
  } else if constexpr (Count == 2) {
    auto& [a, b] = t;
    return types<decltype(a), decltype(b)>{};
  } else if constexpr (Count == 3) {
    auto& [a, b, c] = t;
    return types<decltype(a), decltype(b), decltype(c)>{};
  } else if constexpr (Count == 4) {
    auto& [a, b, c, d] = t;
    return types<decltype(a), decltype(b), decltype(c), decltype(d)>{};
  } else if constexpr (Count == 5) {
    auto& [a, b, c, d, e] = t;
    return types<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e)>{};
  } else if constexpr (Count == 6) {
    auto& [a, b, c, d, e, f] = t;
    return types<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(f)>{};
  } else if constexpr (Count == 7) {
    auto& [a, b, c, d, e, f, g] = t;
    return types<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(f), decltype(g)>{};
  } else if constexpr (Count == 8) {
    auto& [a, b, c, d, e, f, g, h] = t;
    return types<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(f), decltype(g),
        decltype(h)>{};
  } else if constexpr (Count == 9) {
    auto& [a, b, c, d, e, f, g, h, i] = t;
    return types<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(f), decltype(g),
        decltype(h), decltype(i)>{};
  } else if constexpr (Count == 10) {
    auto& [a, b, c, d, e, f, g, h, i, j] = t;
    return types<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(f), decltype(g),
        decltype(h), decltype(i), decltype(j)>{};
  } else if constexpr (Count == 11) {
    auto& [a, b, c, d, e, f, g, h, i, j, k] = t;
    return types<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(f), decltype(g),
        decltype(h), decltype(i), decltype(j), decltype(k)>{};
  } else if constexpr (Count == 12) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l] = t;
    return types<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(f), decltype(g),
        decltype(h), decltype(i), decltype(j), decltype(k), decltype(l)>{};
  } else if constexpr (Count == 13) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l, m] = t;
    return types<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(f), decltype(g),
        decltype(h), decltype(i), decltype(j), decltype(k), decltype(l), decltype(m)>{};
  } else if constexpr (Count == 14) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n] = t;
    return types<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(f), decltype(g),
        decltype(h), decltype(i), decltype(j), decltype(k), decltype(l), decltype(m), decltype(n)>{};
  } else if constexpr (Count == 15) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o] = t;
    return types<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(f), decltype(g),
        decltype(h), decltype(i), decltype(j), decltype(k), decltype(l), decltype(m), decltype(n), decltype(o)>{};
  } else if constexpr (Count == 16) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = t;
    return types<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(f), decltype(g),
        decltype(h), decltype(i), decltype(j), decltype(k), decltype(l), decltype(m), decltype(n), decltype(o),
        decltype(p)>{};
  } else if constexpr (Count == 17) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q] = t;
    return types<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(f), decltype(g),
        decltype(h), decltype(i), decltype(j), decltype(k), decltype(l), decltype(m), decltype(n), decltype(o),
        decltype(p), decltype(q)>{};
  } else if constexpr (Count == 18) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r] = t;
    return types<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(f), decltype(g),
        decltype(h), decltype(i), decltype(j), decltype(k), decltype(l), decltype(m), decltype(n), decltype(o),
        decltype(p), decltype(q), decltype(r)>{};
  } else if constexpr (Count == 19) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s] = t;
    return types<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(f), decltype(g),
        decltype(h), decltype(i), decltype(j), decltype(k), decltype(l), decltype(m), decltype(n), decltype(o),
        decltype(p), decltype(q), decltype(r), decltype(s)>{};
  } else if constexpr (Count == 20) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, v_] = t;
    return types<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(f), decltype(g),
        decltype(h), decltype(i), decltype(j), decltype(k), decltype(l), decltype(m), decltype(n), decltype(o),
        decltype(p), decltype(q), decltype(r), decltype(s), decltype(v_)>{};
  } else if constexpr (Count == 21) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, v_, u] = t;
    return types<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(f), decltype(g),
        decltype(h), decltype(i), decltype(j), decltype(k), decltype(l), decltype(m), decltype(n), decltype(o),
        decltype(p), decltype(q), decltype(r), decltype(s), decltype(v_), decltype(u)>{};
  } else if constexpr (Count == 22) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, v_, u, v] = t;
    return types<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(f), decltype(g),
        decltype(h), decltype(i), decltype(j), decltype(k), decltype(l), decltype(m), decltype(n), decltype(o),
        decltype(p), decltype(q), decltype(r), decltype(s), decltype(v_), decltype(u), decltype(v)>{};
  } else if constexpr (Count == 23) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, v_, u, v, w] = t;
    return types<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(f), decltype(g),
        decltype(h), decltype(i), decltype(j), decltype(k), decltype(l), decltype(m), decltype(n), decltype(o),
        decltype(p), decltype(q), decltype(r), decltype(s), decltype(v_), decltype(u), decltype(v), decltype(w)>{};
  } else if constexpr (Count == 24) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, v_, u, v, w, x] = t;
    return types<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(f), decltype(g),
        decltype(h), decltype(i), decltype(j), decltype(k), decltype(l), decltype(m), decltype(n), decltype(o),
        decltype(p), decltype(q), decltype(r), decltype(s), decltype(v_), decltype(u), decltype(v), decltype(w),
        decltype(x)>{};
  }
}
// clang-format on

/// types<...>: those of an aggregate that can_be_taken_apart.
template <class T>
using fields_of = decltype(fields<T, field_count<T>()>(std::declval<T&>()));

template <class T>
concept can_be_taken_apart = std::is_class_v<T> && std::is_aggregate_v<T> && !std::is_empty_v<T> && !with_base<T> &&
                             field_count<T>() != 0 && field_count<T>() != unknown_fields;

}  // namespace heddle::gc::detail
