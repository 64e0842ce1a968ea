// SPDX-License-Identifier: BSL-1.0
#include "mark/trail.hpp"

#include <bit>
#include <cstdint>
#include <utility>

#include "heddle/detail/collected_pages.hpp"

namespace heddle::gc::detail {

namespace collected_pages = heddle::detail::collected_pages;

trail::~trail() {
  if (entries_ != nullptr) collected_pages::free_tables(entries_, slots_ * sizeof(entry));
}

/// Where it is, or where it would be: the first free entry from its hash on.
std::size_t trail::place_of(const char* object) const noexcept {
  const std::uint64_t hash = reinterpret_cast<std::uintptr_t>(object) / 16 * 0x9E3779B97F4A7C15;
  std::size_t i = hash >> (64 - std::countr_zero(slots_));
  while (entries_[i].object != nullptr && entries_[i].object != object) i = (i + 1) % slots_;
  return i;
}

bool trail::grow() noexcept {
  const std::size_t slots = slots_ == 0 ? std::size_t{1} << 16 : 2 * slots_;
  auto* const entries = static_cast<entry*>(collected_pages::make_tables(slots * sizeof(entry)));
  if (entries == nullptr) return false;
  entry* const old = std::exchange(entries_, entries);
  const std::size_t old_slots = std::exchange(slots_, slots);
  for (std::size_t i = 0; i != old_slots; ++i)
    if (old[i].object != nullptr) entries_[place_of(old[i].object)] = old[i];
  if (old != nullptr) collected_pages::free_tables(old, old_slots * sizeof(entry));
  return true;
}

void trail::add(const char* object, origin from) noexcept {
  if (2 * count_ >= slots_ && !grow()) return;
  entry& e = entries_[place_of(object)];
  if (e.object == nullptr) ++count_;
  e = {object, from};
}

const trail::origin* trail::find(const char* object) const noexcept {
  if (slots_ == 0) return nullptr;
  const entry& e = entries_[place_of(object)];
  return e.object == nullptr ? nullptr : &e.from;
}

}  // namespace heddle::gc::detail
