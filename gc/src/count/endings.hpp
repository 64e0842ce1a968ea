// SPDX-License-Identifier: BSL-1.0
//
// References that end, and objects that die of it.
#pragma once

#include "count/ledger.hpp"

namespace heddle::gc::detail {

/// Inside: one more reference to h; the caller has one.
void add_inside(count_header& h, count_ledger& here) noexcept;
/// Inside: a reference to h ends. `here`: the ledger that is acted for.
void drop_inside(count_header& h, count_ledger& here, ended& e) noexcept;
/// Inside: h has no references any more.
void end_references(count_header& h, count_ledger& here, ended& e) noexcept;
/// Calls destructors and frees memory of all in the list, and of what dies of that; does the errands. The caller is in
/// no function of the collector. If the same fiber is in such a call already, the objects are left to that.
void destroy_all(ended& e) noexcept;

/// The calling thread counts from now on. It is in no function of the collector.
void begin_here() noexcept;

/// f(count_slot&) for each of the object's.
template <class F>
void for_each_count_slot(count_header& h, const count_span& s, F f) noexcept;
/// How many elements an array has.
std::size_t& length_of(count_header& h, const count_span& s) noexcept;

template <class F>
void for_each_count_slot(count_header& h, const count_span& s, F f) noexcept {
  const kind& k = *s.of;
  if (k.slot_count == 0) return;
  char* element = object_of(&h);
  const std::size_t n = k.is_array ? length_of(h, s) : 1;
  for (std::size_t e = 0; e != n; ++e, element += k.element)
    for (std::uint32_t i = 0; i != k.slot_count; ++i) f(*reinterpret_cast<count_slot*>(element + k.slots[i]));
}

}  // namespace heddle::gc::detail
