// SPDX-License-Identifier: BSL-1.0
#include "count/trial.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "count/endings.hpp"
#include "heddle/detail/collected_pages.hpp"

namespace heddle::gc::detail {

namespace collected_pages = heddle::detail::collected_pages;

trial::~trial() {
  if (nodes_ != nullptr) collected_pages::free_tables(nodes_, room_ * sizeof(node));
  if (index_ != nullptr) collected_pages::free_tables(index_, index_room_ * sizeof(std::uint32_t));
}

bool trial::grow_nodes() noexcept {
  const std::size_t more = std::max(room_ * 2, std::size_t{4096});
  if (more > none) return false;
  auto* const to = static_cast<node*>(collected_pages::make_tables(more * sizeof(node)));
  if (to == nullptr) return false;
  if (count_ != 0) std::memcpy(static_cast<void*>(to), nodes_, count_ * sizeof(node));
  if (nodes_ != nullptr) collected_pages::free_tables(nodes_, room_ * sizeof(node));
  nodes_ = to;
  room_ = more;
  return true;
}

bool trial::grow_index() noexcept {
  const std::size_t more = std::max(index_room_ * 2, std::size_t{8192});
  auto* const to = static_cast<std::uint32_t*>(collected_pages::make_tables(more * sizeof(std::uint32_t)));
  if (to == nullptr) return false;
  if (index_ != nullptr) collected_pages::free_tables(index_, index_room_ * sizeof(std::uint32_t));
  index_ = to;
  index_room_ = more;
  for (std::size_t i = 0; i != count_; ++i) *place_of(nodes_[i].object) = static_cast<std::uint32_t>(i + 1);
  return true;
}

std::uint32_t* trial::place_of(const count_header* h) const noexcept {
  std::size_t at = (reinterpret_cast<std::uintptr_t>(h) >> 3) * 0x9e3779b97f4a7c15 >> 16;
  for (;; ++at) {
    std::uint32_t& place = index_[at & (index_room_ - 1)];
    if (place == 0 || nodes_[place - 1].object == h) return &place;
  }
}

std::uint32_t trial::find_or_add(count_header& h) noexcept {
  if ((count_ == room_ && !grow_nodes()) || (count_ * 2 >= index_room_ && !grow_index())) return none;
  std::uint32_t& place = *place_of(&h);
  if (place != 0) return place - 1;
  const std::int32_t all = shared_bits::count(h.shared.load(std::memory_order_relaxed)) +
                           static_cast<std::int32_t>(h.local.load(std::memory_order_relaxed) & local_bits::count);
  nodes_[count_] = {&h, all, all, 0, false};
  place = static_cast<std::uint32_t>(++count_);
  return place - 1;
}

bool trial::admit(count_header& h) noexcept { return find_or_add(h) != none; }

bool trial::subtract_pointers_of(std::size_t i) noexcept {
  count_header& h = *nodes_[i].object;
  bool enough = true;
  for_each_count_slot(h, span_around(&h), [&](count_slot& slot) {
    const std::uintptr_t word = slot.load(std::memory_order_relaxed);
    if (word == 0 || !enough) return;
    count_header& to = *header_in(word);
    if (span_around(&to).of->slot_count == 0) return;  // it leads nowhere, so it is in no cycle
    const std::uint32_t n = find_or_add(to);
    enough = n != none;
    if (enough) --nodes_[n].outside;
  });
  return enough;
}

/// A node lives: it waits to be gone through, unless it is known to.
void trial::spare(std::uint32_t i, std::uint32_t& waiting) noexcept {
  node& n = nodes_[i];
  if (n.lives) return;
  n.lives = true;
  --dead_;
  n.next = waiting;
  waiting = i + 1;
}

bool trial::decide() noexcept {
  for (std::size_t i = 0; i != count_; ++i)
    if (!subtract_pointers_of(i)) return false;
  dead_ = count_;
  std::uint32_t waiting = 0;
  for (std::size_t i = 0; i != count_; ++i) {
    if (nodes_[i].outside < 0) {
      std::fprintf(stderr,
                   "heddle: the counted object at %p (%s) has %d references, and more pointers to it are in objects\n",
                   static_cast<void*>(object_of(nodes_[i].object)), span_around(nodes_[i].object).of->name,
                   nodes_[i].references);
      std::abort();
    }
    if (nodes_[i].outside > 0) spare(static_cast<std::uint32_t>(i), waiting);
  }
  while (waiting != 0) {
    const node& n = nodes_[waiting - 1];
    waiting = n.next;
    for_each_count_slot(*n.object, span_around(n.object), [&](count_slot& slot) {
      const std::uintptr_t word = slot.load(std::memory_order_relaxed);
      if (word == 0) return;
      count_header* const to = header_in(word);
      if (span_around(to).of->slot_count != 0) spare(*place_of(to) - 1, waiting);
    });
  }
  return true;
}

}  // namespace heddle::gc::detail
