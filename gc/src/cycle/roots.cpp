// SPDX-License-Identifier: BSL-1.0
#include "cycle/roots.hpp"

#include "heddle/detail/thread_mutex.hpp"

namespace heddle::gc::detail {
namespace {
heddle::detail::thread_mutex cells_lock{heddle::detail::lock_rank::registry};
root_cell* cells = nullptr;
}  // namespace

void add_root(root_cell& c) noexcept {
  const heddle::detail::thread_lock hold(cells_lock);
  c.next = cells;
  c.previous = nullptr;
  if (cells != nullptr) cells->previous = &c;
  cells = &c;
}
void remove_root(root_cell& c) noexcept {
  const heddle::detail::thread_lock hold(cells_lock);
  (c.previous != nullptr ? c.previous->next : cells) = c.next;
  if (c.next != nullptr) c.next->previous = c.previous;
}

void visit_roots(marker& m) noexcept {
  const heddle::detail::thread_lock hold(cells_lock);
  for (const root_cell* c = cells; c != nullptr; c = c->next)
    m.visit_if_allocated(__atomic_load_n(&c->address, __ATOMIC_RELAXED));
}

}  // namespace heddle::gc::detail
