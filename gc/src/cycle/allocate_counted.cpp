// SPDX-License-Identifier: BSL-1.0
//
// Memory for counted objects, and their kinds.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>

#include "count/endings.hpp"
#include "count/search.hpp"
#include "cycle/begin_heap.hpp"
#include "cycle/collector.hpp"
#include "cycle/cycle_searcher.hpp"
#include "heddle/detail/collected_pages.hpp"

namespace heddle::gc::detail {

using heddle::detail::thread_lock;
namespace collected_pages = heddle::detail::collected_pages;

namespace {

constexpr std::size_t largest_block = std::size_t{32} << 10;  ///< beyond it an object has a span of its own

constexpr std::size_t rounded(std::size_t n, std::size_t to) noexcept { return (n + to - 1) / to * to; }

/// Bytes before an object: its header, and what its alignment needs.
std::size_t header_bytes(const type_description& d) noexcept {
  return rounded(sizeof(count_header), std::max<std::size_t>(d.alignment, alignof(count_header)));
}

/// Pages of a span of such blocks: eight blocks at least, and enough small ones that a span is seldom used up.
std::size_t pages_of_span(std::size_t bytes) noexcept {
  return std::max<std::size_t>(2, rounded(bytes * 8, page_size) / page_size);
}

kind_number add_kind(const count_description& d, std::size_t bytes, bool is_array) noexcept {
  const bool is_large = bytes > largest_block;
  return the_kinds.add_counted(d.of, static_cast<std::uint8_t>(d.ending), header_bytes(d.of), is_large ? 0 : bytes,
                               is_large ? 0 : pages_of_span(bytes), is_array);
}

/// The kinds of arrays of a type.
struct count_family {
  atomic<kind_number> by_class[class_count + 1];
};
count_family* families = nullptr;
std::uint32_t family_count = 1;
constinit heddle::detail::thread_mutex types_lock{heddle::detail::lock_rank::endings};

/// The kind of objects of a type; 0: no memory.
kind_number kind_of(count_handle& t) noexcept {
  const thread_lock hold(types_lock);
  if (const std::uint32_t known = t.of_objects.load(std::memory_order_relaxed); known != 0)
    return static_cast<kind_number>(known);
  const type_description& d = t.description->of;
  const std::size_t header = header_bytes(d);
  const std::size_t alignment = std::max<std::size_t>(d.alignment, alignof(count_header));
  const std::size_t bytes = rounded(header + std::max<std::size_t>(d.size, sizeof(void*)), alignment);
  const kind_number n = add_kind(*t.description, bytes, false);
  // A large one has no shelf: it stays slow. release: so that the kind is seen; acquire half in allocate_counted().
  t.of_objects.store(n, std::memory_order_release);
  return n;
}

/// The kind of arrays of so many bytes, the header included.
kind_number kind_of_arrays(count_handle& t, std::size_t bytes) noexcept {
  const std::size_t c = bytes > largest_block ? class_count : heddle::detail::class_for(bytes);
  const thread_lock hold(types_lock);
  if (families == nullptr) {
    families = static_cast<count_family*>(collected_pages::make_tables(most_kinds * sizeof(count_family)));
    if (families == nullptr) return 0;
  }
  std::uint32_t family = t.of_arrays.load(std::memory_order_relaxed);
  if (family == 0) {
    if (family_count == most_kinds) return 0;
    family = family_count++;
    t.of_arrays.store(family, std::memory_order_relaxed);
  }
  atomic<kind_number>& number = families[family].by_class[c];
  if (const kind_number n = number.load(std::memory_order_relaxed); n != 0) return n;
  const std::size_t block = c == class_count ? bytes : std::size_t{heddle::detail::class_info[c].size};
  const kind_number n = add_kind(*t.description, block, true);
  number.store(n, std::memory_order_relaxed);
  return n;
}

/// Begins all that counted objects need.
void begin_counted_heap() {
  static const bool began = [] {
    if (!begin_heap()) return false;
    the_search.set_background([]() noexcept { the_cycle_searcher.wake(); });
    return true;
  }();
  if (!began) throw std::bad_alloc();
}

void* try_to_make(const kind& k, std::size_t bytes, std::uint32_t& base) noexcept {
  const critical_call inside;
  base = ledger_here().base();
  if (!k.is_large()) return ledger_here().get(k);
  count_span* const s = make_count_span(k, heddle::detail::pages_for(bytes));
  if (s == nullptr) return nullptr;
  count_header* const h = header_at(k, s->start);
  h->local.store(0, std::memory_order_relaxed);
  h->shared.store(0, std::memory_order_relaxed);
  return object_of(h);
}

/// A thread that needs memory sees to its mail, which other threads have left.
void look_at_mail() noexcept {
  if (!ledger_here().has_mail()) return;
  ended e;
  {
    const critical_call inside;
    ledger_here().settle(e);
  }
  destroy_all(e);
}

count_memory make(kind_number number, std::size_t bytes) {
  if (number == 0) throw std::bad_alloc();
  const kind& k = the_kinds[number];
  look_at_mail();
  std::uint32_t base = 0;
  void* p = try_to_make(k, bytes, base);
  if (p == nullptr) {  // garbage of both families gives memory back
    collect_all_cycles();
    the_collector.collect();
    p = try_to_make(k, bytes, base);
  }
  if (p == nullptr) throw std::bad_alloc();
  return {p, base};
}

}  // namespace

std::size_t collect_all_cycles() noexcept {
  begin_here();
  ended e;
  the_ledgers.for_each([&](count_ledger& l) {
    if (l.has_mail()) the_ledgers.settle(l, e);
  });
  destroy_all(e);
  header_list found;
  the_search.run(found);
  const std::size_t n = found.count();
  search::destroy(found);
  found.free();
  while (the_search.run_one()) {
  }
  return n;
}

count_memory make_slowly(count_handle& t) {
  begin_counted_heap();
  begin_here();
  // acquire: so that the kind is seen; release half in kind_of().
  std::uint32_t number = t.of_objects.load(std::memory_order_acquire);
  if (number == 0) number = kind_of(t);
  return make(static_cast<kind_number>(number), header_bytes(t.description->of) + t.description->of.size);
}

count_memory make_elements(count_handle& element, std::size_t n) {
  const type_description& d = element.description->of;
  begin_counted_heap();
  begin_here();
  const bool counts = d.slot_count != 0 || d.destroy != nullptr;  // then the length stands at the block's end
  const std::size_t bytes = header_bytes(d) + std::max(rounded(n * d.size, alignof(std::size_t)), sizeof(void*)) +
                            (counts ? sizeof(std::size_t) : 0);
  const count_memory m = make(kind_of_arrays(element, bytes), bytes);
  count_header* const h = static_cast<count_header*>(m.at) - 1;
  if (counts) length_of(*h, span_around(h)) = n;
  return m;
}

void discard(void* memory) noexcept {
  ended e;
  {
    const critical_call inside;
    ledger_here().put(memory, span_around(static_cast<count_header*>(memory) - 1), e);
  }
  destroy_all(e);
}

count_header* header_around(const volatile void* p) noexcept {
  return living_header_around(const_cast<const void*>(p));
}

std::size_t bytes_behind(const count_header& h) noexcept {
  const count_span& s = span_around(&h);
  return s.block_bytes - s.of->count_header_bytes() + sizeof(count_header);
}

bool is_alias(const count_header& h, const volatile void* p) noexcept {
  const std::uintptr_t distance = reinterpret_cast<std::uintptr_t>(p) - reinterpret_cast<std::uintptr_t>(&h);
  return distance >= sizeof(count_header) && distance <= farthest && distance < bytes_behind(h);
}

void refuse_alias(const count_header* h, const volatile void* p) {
  if (h == nullptr) throw std::invalid_argument("heddle: gc::counted: an alias of a null pointer");
  const std::uintptr_t distance = reinterpret_cast<std::uintptr_t>(p) - reinterpret_cast<std::uintptr_t>(h);
  if (distance < bytes_behind(*h) && distance > farthest)
    throw std::invalid_argument("heddle: gc::counted: an alias is at most " +
                                std::to_string(farthest - sizeof(count_header)) + " bytes into its object, not " +
                                std::to_string(distance - sizeof(count_header)));
  throw std::invalid_argument("heddle: gc::counted: an alias must point into the object that it keeps");
}

void refuse_base() noexcept {
  std::fprintf(stderr, "heddle: gc::counted: a pointer to what lies more than %zu bytes into its object\n",
               static_cast<std::size_t>(farthest) - sizeof(count_header));
  std::abort();
}

void refuse_traced_member(const char* type) {
  throw std::invalid_argument(std::string("heddle: gc::make_counted: ") + type +
                              " has a gc::ptr as a member; use gc::root");
}

void refuse_counted_member(const char* type) {
  throw std::invalid_argument(std::string("heddle: gc::make: ") + type +
                              " has a gc::counted as a member; a cycle through both would be a leak");
}

}  // namespace heddle::gc::detail
