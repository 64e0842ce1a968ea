// SPDX-License-Identifier: BSL-1.0
#include "heddle/gc/counted.hpp"

#include "count/search.hpp"
#include "cycle/cycle_searcher.hpp"

namespace heddle::gc {

std::size_t collect_cycles() { return detail::collect_all_cycles(); }

counted_values counted_statistics() noexcept {
  const detail::search_figures f = detail::the_search.figures();
  return {f.searches,
          f.visited,
          f.found,
          f.forgotten,
          static_cast<std::uint64_t>(f.longest),
          detail::bytes_in_count_spans(),
          f.candidates};
}

}  // namespace heddle::gc
