// SPDX-License-Identifier: BSL-1.0
#include "mark/ephemerons.hpp"

#include <bit>
#include <cstring>

#include "heddle/detail/collected_pages.hpp"

namespace heddle::gc::detail {

namespace collected_pages = heddle::detail::collected_pages;

ephemerons::~ephemerons() {
  clear();
  if (entries_ != nullptr) collected_pages::free_tables(entries_, capacity_ * sizeof(entry));
}

bool ephemerons::grow() noexcept {
  const std::size_t capacity = capacity_ == 0 ? 4096 : 2 * capacity_;
  auto* const entries = static_cast<entry*>(collected_pages::make_tables(capacity * sizeof(entry)));
  if (entries == nullptr || capacity > ~std::uint32_t{0}) return false;
  if (capacity_ != 0) {
    std::memcpy(entries, entries_, count_ * sizeof(entry));
    collected_pages::free_tables(entries_, capacity_ * sizeof(entry));
  }
  entries_ = entries;
  capacity_ = capacity;
  return true;
}

bool ephemerons::add(ephemeron_cell& c, const block& key) noexcept {
  if (count_ == capacity_ && !grow()) return false;
  entries_[count_++] = {&c, key.start, 0};
  if (watching()) link(count_ - 1);
  return true;
}

void ephemerons::link(std::size_t i) noexcept {
  std::uint32_t& head = heads_[slot_of(entries_[i].key)];
  entries_[i].next = head;
  head = static_cast<std::uint32_t>(i + 1);
}

bool ephemerons::watch() noexcept {
  log_slots_ = static_cast<unsigned>(std::bit_width(count_ + 1));
  const std::size_t slots = std::size_t{1} << log_slots_;
  heads_ = static_cast<std::uint32_t*>(collected_pages::make_tables(slots * sizeof(*heads_)));
  if (heads_ == nullptr) return false;
  for (std::size_t i = 0; i != count_; ++i)
    if (entries_[i].key != nullptr) link(i);
  return true;
}

void ephemerons::clear() noexcept {
  if (heads_ != nullptr) collected_pages::free_tables(heads_, (std::size_t{1} << log_slots_) * sizeof(*heads_));
  heads_ = nullptr;
  count_ = 0;
}

}  // namespace heddle::gc::detail
