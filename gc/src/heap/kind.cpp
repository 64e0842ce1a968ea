// SPDX-License-Identifier: BSL-1.0
#include "heap/kind.hpp"

#include <algorithm>
#include <cstring>

#include "heap/heap.hpp"
#include "heddle/detail/collected_pages.hpp"

namespace heddle::gc::detail {

using heddle::detail::thread_lock;
namespace collected_pages = heddle::detail::collected_pages;

constinit kind_table the_kinds;

namespace {

constexpr std::size_t word = sizeof(void*);
constexpr std::size_t pattern_limit = 64 * word;

/// The class that holds so many bytes; class_count: pages of its own. A class whose spans have one block only would not
/// save anything.
size_class class_of(std::size_t bytes) noexcept {
  if (bytes > heddle::detail::class_limit) return class_count;
  const size_class c = heddle::detail::class_for(bytes);
  return heddle::detail::class_info[c].capacity < 2 ? static_cast<size_class>(class_count) : c;
}

/// A copy that lives as long as the process; the library that described the type may be closed before.
const void* keep(const void* from, std::size_t bytes) noexcept {
  static char* at = nullptr;  // under the table's lock
  static std::size_t left = 0;
  constexpr std::size_t piece = std::size_t{1} << 20;
  const std::size_t taken = (bytes + 7) / 8 * 8;
  if (taken > left) {
    const std::size_t more = std::max(taken, piece);
    at = static_cast<char*>(collected_pages::make_tables(more));
    left = at == nullptr ? 0 : more;
    if (at == nullptr) return nullptr;
  }
  std::memcpy(at, from, bytes);
  left -= taken;
  at += taken;
  return at - taken;
}

}  // namespace

/// A type of elements, with the kinds of arrays of it. It has a copy of the description.
struct kind_table::family {
  type_description element;
  atomic<kind_number> by_class[class_count + 1];
};

bool kind_table::begin() noexcept {
  if (kinds_ != nullptr) return true;
  auto* const families = static_cast<family*>(collected_pages::make_tables(most_kinds * sizeof(family)));
  auto* const kinds = static_cast<kind*>(collected_pages::make_tables(most_kinds * sizeof(kind)));
  if (families == nullptr || kinds == nullptr) return false;
  families_ = families;
  kinds_ = kinds;
  return true;
}

kind_number kind_table::add(const kind& k) noexcept {
  const std::size_t n = count_.load(std::memory_order_relaxed);
  if (n == most_kinds) return 0;
  kinds_[n] = k;
  kinds_[n].number = static_cast<kind_number>(n);
  // release: so that the kind is seen as it was made; acquire half in count().
  the_heap.begin_kind(static_cast<kind_number>(n));
  count_.store(n + 1, std::memory_order_release);
  return static_cast<kind_number>(n);
}

kind kind_table::make(const type_description& d, size_class c, bool is_array) const noexcept {
  kind k{};
  const bool is_large = c == class_count;
  const auto& info = heddle::detail::class_info[is_large ? 0 : c];
  k.size = is_large ? 0 : info.size;
  k.capacity = is_large ? 1 : info.capacity;
  k.pages = is_large ? 0 : info.pages;
  k.reciprocal = is_large ? 0 : ((std::uint64_t{1} << 48) + k.size - 1) / k.size;
  k.element = d.size;
  k.slot_count = d.slot_count;
  k.slots = d.slots;
  k.is_array = is_array;
  k.has_plain = d.has_plain && d.how != scanning::none;
  k.klass = c;
  k.destroy = d.destroy;
  k.name = d.name;
  k.how = d.how == scanning::none ? walk::none : d.how == scanning::precise ? walk::slots : walk::conservative;
  if (k.how != walk::slots || is_large || k.size > pattern_limit) return k;
  const std::size_t elements = is_array ? k.size / std::max(k.element, 1u) : 1;
  for (std::size_t e = 0; e != elements; ++e)
    for (std::size_t i = 0; i != d.slot_count; ++i)
      k.pattern |= std::uint64_t{1} << (e * k.element + d.slots[i]) / word;
  k.how = walk::pattern;
  return k;
}

/// Types without addresses and without a destructor share the kinds of their sizes.
kind_number kind_table::plain(size_class c) noexcept {
  if (plain_[c] == 0) {
    const type_description d{kind::shared_name, 1, 16, scanning::none, 0, nullptr, nullptr};
    plain_[c] = add(make(d, c, true));
  }
  return plain_[c];
}

kind_table::family* kind_table::family_of(type_handle& t) noexcept {
  if (!begin()) return nullptr;
  const std::uint32_t known = t.of_arrays.load(std::memory_order_relaxed);
  if (known != 0) return &families_[known];
  if (family_count_ == most_kinds) return nullptr;
  type_description d = *t.description;
  d.name = static_cast<const char*>(keep(d.name, std::strlen(d.name) + 1));
  if (d.slot_count != 0) d.slots = static_cast<const std::uint32_t*>(keep(d.slots, d.slot_count * sizeof(*d.slots)));
  if (d.name == nullptr || (d.slot_count != 0 && d.slots == nullptr)) return nullptr;
  families_[family_count_].element = d;
  // release: so that the family is seen as it was made; acquire half in of_arrays().
  t.of_arrays.store(static_cast<std::uint32_t>(family_count_), std::memory_order_release);
  return &families_[family_count_++];
}

kind_number kind_table::of_objects(type_handle& t) noexcept {
  const thread_lock hold(lock_);
  if (const std::uint32_t known = t.of_objects.load(std::memory_order_relaxed); known != 0)
    return static_cast<kind_number>(known);
  const family* const f = family_of(t);
  if (f == nullptr) return 0;
  const type_description& d = f->element;
  const size_class c = class_of(std::max<std::size_t>(d.size, 1));
  const kind_number n = d.how == scanning::none && d.destroy == nullptr ? plain(c) : add(make(d, c, false));
  // release: so that a thread that reads the number sees the kind; acquire half in allocate().
  t.of_objects.store(n, std::memory_order_release);
  return n;
}

kind_number kind_table::of_arrays(type_handle& element, std::size_t bytes) noexcept {
  const size_class c = class_of(std::max<std::size_t>(bytes, 1));
  // acquire: so that the family is seen; release half in family_of().
  if (const std::uint32_t known = element.of_arrays.load(std::memory_order_acquire); known != 0) {
    // acquire: so that the kind is seen; release half below.
    if (const kind_number n = families_[known].by_class[c].load(std::memory_order_acquire); n != 0) return n;
  }
  const thread_lock hold(lock_);
  family* const f = family_of(element);
  if (f == nullptr) return 0;
  atomic<kind_number>& number = f->by_class[c];
  if (const kind_number n = number.load(std::memory_order_relaxed); n != 0) return n;
  const type_description& d = f->element;
  const kind_number n = d.how == scanning::none && d.destroy == nullptr ? plain(c) : add(make(d, c, true));
  number.store(n, std::memory_order_release);  // release: so that the kind is seen; acquire half above
  return n;
}

kind_number kind_table::of_cells(walk how, std::size_t bytes, const char* name) noexcept {
  const thread_lock hold(lock_);
  if (!begin()) return 0;
  const type_description d{name, static_cast<std::uint32_t>(bytes), 16, scanning::none, 0, nullptr, nullptr};
  kind k = make(d, class_of(bytes), false);
  k.how = how;
  return add(k);
}

kind_number kind_table::add_counted(const type_description& d, std::uint8_t ending, std::size_t header,
                                    std::size_t bytes, std::size_t pages, bool is_array) noexcept {
  const thread_lock hold(lock_);
  if (!begin()) return 0;
  kind k{};
  k.size = static_cast<std::uint32_t>(bytes);
  k.capacity = static_cast<std::uint16_t>(bytes == 0 ? 1 : pages * page_size / bytes);
  k.pages = static_cast<std::uint16_t>(pages);
  k.reciprocal = bytes == 0 ? 0 : ((std::uint64_t{1} << 48) + bytes - 1) / bytes;
  k.element = d.size;
  k.slot_count = d.slot_count;
  k.is_array = is_array;
  k.klass = class_of(std::max<std::size_t>(bytes, 1));
  if (bytes == 0) k.klass = class_count;
  k.destroy = d.destroy;
  k.how = walk::none;
  k.has_plain = false;
  k.counted = static_cast<std::uint8_t>(header | ending);
  k.name = static_cast<const char*>(keep(d.name, std::strlen(d.name) + 1));
  if (d.slot_count != 0) k.slots = static_cast<const std::uint32_t*>(keep(d.slots, d.slot_count * sizeof(*d.slots)));
  if (k.name == nullptr || (d.slot_count != 0 && k.slots == nullptr)) return 0;
  return add(k);
}

}  // namespace heddle::gc::detail
