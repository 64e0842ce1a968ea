// SPDX-License-Identifier: BSL-1.0
//
// alloc/src/collected_pages.cpp without the gate that a fork closes: it knows threads by their thread-locals, of which
// model threads have none of their own.
#include "heddle/detail/collected_pages.hpp"

#include <cstring>

#include "mheap.hpp"
#include "os.hpp"

namespace heddle::detail::collected_pages {

void* make(size_class klass, std::size_t pages, bool may_point, bool& zeroed) noexcept {
  span* const s = the_mheap.make_span(klass, pages, page_size, may_point ? span_kind::scan : span_kind::noscan);
  if (s == nullptr) return nullptr;
  zeroed = s->zeroed;
  s->zeroed = false;
  return s->start;
}

void free(void* first) noexcept { the_mheap.free_span(the_map.span_of(first)); }
void* make_tables(std::size_t bytes) noexcept { return os::map(bytes, page_size); }
void free_tables(void* at, std::size_t bytes) noexcept { os::unmap(at, bytes); }
void clear_tables(void* at, std::size_t bytes) noexcept {
  if (!os::drop(at, bytes)) std::memset(at, 0, bytes);
}

}  // namespace heddle::detail::collected_pages
