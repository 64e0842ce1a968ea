// SPDX-License-Identifier: BSL-1.0
#include "count/figures.hpp"

#include "count/ledger.hpp"

namespace heddle::gc::detail {
namespace {

/// Blocks of the span that objects lie in, or that others have freed.
std::size_t blocks_in_use(const count_span& s) noexcept {
  if (s.of->is_large()) return 1;
  std::size_t n = s.used;
  if (s.home->current == &s)
    for (void* free = s.home->free; free != nullptr; free = link_of(free)) --n;
  return n;
}

}  // namespace

void add_count_figures(kind_figures* by_number, std::size_t kinds) noexcept {
  the_mutators.stop_all();
  for (const span* s = first_count_span(); s != nullptr; s = s->next_of_kind) {
    if (s->of->number >= kinds) continue;
    kind_figures& f = by_number[s->of->number];
    const std::size_t n = blocks_in_use(static_cast<const count_span&>(*s));
    f.objects += n;
    f.live_bytes += n * s->block_bytes;
    f.span_bytes += s->bytes();
  }
  the_ledgers.for_each([&](const count_ledger& l) {
    l.for_each_returned([&](void* object) {
      const count_span& s = span_around(static_cast<count_header*>(object) - 1);
      if (s.of->number >= kinds) return;
      --by_number[s.of->number].objects;
      by_number[s.of->number].live_bytes -= s.block_bytes;
    });
  });
  the_mutators.go_on();
}

}  // namespace heddle::gc::detail
