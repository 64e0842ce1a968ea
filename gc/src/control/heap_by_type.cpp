// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "barrier/mutators.hpp"
#include "count/figures.hpp"
#include "heap/heap.hpp"
#include "heddle/gc/metrics.hpp"

namespace heddle::gc {

namespace {

/// A fork waits until the thread is out of it, and leaves no child with the lock held.
detail::kind_figures figures_of(const detail::kind& k) {
  const detail::critical_call inside;
  return detail::the_heap.figures(k);
}

std::string name_of(const detail::kind& k) {
  std::string name = k.name;
  if (k.is_array && !k.is_shared()) name += "[]";
  if (k.counted != 0) name += " (counted)";
  return name;
}

}  // namespace

std::vector<type_values> heap_by_type() {
  using namespace detail;
  std::map<std::string, kind_figures> by_name;  // arrays of a type have a kind for each size
  std::vector<kind_figures> counted(the_kinds.count());
  add_count_figures(counted.data(), counted.size());
  for (std::size_t i = 1, n = counted.size(); i != n; ++i) {
    const kind& k = the_kinds[i];
    const kind_figures f = k.counted != 0 ? counted[i] : figures_of(k);
    if (f.span_bytes == 0) continue;
    kind_figures& sum = by_name[name_of(k)];
    sum.objects += f.objects;
    sum.live_bytes += f.live_bytes;
    sum.span_bytes += f.span_bytes;
  }
  std::vector<type_values> types;
  types.reserve(by_name.size());
  for (auto& [name, f] : by_name) types.push_back({name, f.objects, f.live_bytes, f.span_bytes});
  std::stable_sort(types.begin(), types.end(),
                   [](const type_values& a, const type_values& b) { return a.live_bytes > b.live_bytes; });
  return types;
}

}  // namespace heddle::gc
