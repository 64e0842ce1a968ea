// SPDX-License-Identifier: BSL-1.0
#include "heddle/detail/collected_pages.hpp"

#include <algorithm>
#include <cstring>

#include "at_work.hpp"
#include "mheap.hpp"
#include "os.hpp"
#include "scavenger.hpp"

namespace heddle::detail::collected_pages {

void* make(size_class klass, std::size_t pages, bool may_point, bool& zeroed) noexcept {
  the_scavenger.poll(nullptr);
  const at_work here(at_work::patience::endless);
  if (!here) return nullptr;
  span* const s = the_mheap.make_span(klass, pages, page_size, may_point ? span_kind::scan : span_kind::noscan);
  if (s == nullptr) return nullptr;
  zeroed = s->zeroed;
  s->zeroed = false;
  return s->start;
}

void free(void* first) noexcept {
  const at_work here(at_work::patience::endless);
  if (here) the_mheap.free_span(the_map.span_of(first));  // else they are lost: a fork has not ended in ten seconds
}

void heed_forks() noexcept { heed_forks_of_heap(); }

void* make_tables(std::size_t bytes) noexcept { return os::map(bytes, page_size); }
void free_tables(void* at, std::size_t bytes) noexcept { os::unmap(at, bytes); }
void clear_tables(void* at, std::size_t bytes) noexcept {
  if (!os::drop(at, bytes)) std::memset(at, 0, bytes);
}

}  // namespace heddle::detail::collected_pages
