// SPDX-License-Identifier: BSL-1.0
#include "extras.hpp"

#include <algorithm>
#include <cstring>

#include "at_work.hpp"
#include "blocks.hpp"
#include "hardened.hpp"
#include "misuse.hpp"
#include "reserve_blocks.hpp"
#include "scavenger.hpp"

namespace heddle::detail::extras {
namespace {

constexpr int junk_of_new = 0xa5;

/// Reads the options if nobody has. True: there is something to do here.
bool ready() noexcept {
  if (the_extras() == call_extras::unread) read_options();
  if (the_extras() == call_extras::checks) hardened::begin();
  return wanted();
}

bool checked() noexcept { return the_extras() == call_extras::checks; }

/// Fills what a new block, or the new part of one, has.
void fill_new(char* p, std::size_t size) noexcept {
  if (the_options.zero)
    std::memset(p, 0, size);
  else if (the_options.junk)
    std::memset(p, junk_of_new, size);
}

/// A block in a mapping of its own is zeroed, and may be larger than memory.
bool is_mapped_alone(const void* p) noexcept { return !the_map.contains(p) && !the_reserve_blocks.contains(p); }
bool is_zeroed_anyway(const void* p) noexcept { return the_options.zero && is_mapped_alone(p); }

void* allocate_checked(std::size_t alignment, std::size_t size, bool& zeroed) noexcept {
  the_scavenger.poll(nullptr);
  const at_work here;
  if (here) [[likely]]
    return hardened::allocate(alignment, size, zeroed);
  return at_work::serve_otherwise(alignment, size, [&] { return allocate_checked(alignment, size, zeroed); });
}

void deallocate_checked(void* p, const char* what) noexcept {
  if (the_reserve_blocks.contains(p)) [[unlikely]]
    return the_reserve_blocks.deallocate(p);
  const at_work here;
  if (here) [[likely]]
    hardened::deallocate(p, what);
  else if (hardened::size_of(p, what) >= sizeof(void*))
    the_reserve_blocks.defer(p);
  // else it has no room for the link, and is lost
}

void* allocate_filled(std::size_t alignment, std::size_t size) noexcept {
  void* const p = alignment <= grain ? blocks::plain::allocate(size) : blocks::plain::allocate_aligned(alignment, size);
  if (p != nullptr && !is_zeroed_anyway(p)) fill_new(static_cast<char*>(p), blocks::usable_size(p));
  return p;
}

void deallocate_filled(void* p) noexcept {
  const bool aligned = reinterpret_cast<std::uintptr_t>(p) % grain == 0;
  if (!aligned || !the_map.contains(p)) return blocks::plain::deallocate_outside(p);
  span& s = the_map.span_of(p);
  if (the_options.junk && s.begins_manual_block(p)) std::memset(p, hardened::junk_of_freed, s.size);
  blocks::plain::deallocate_slow(p, s);
}

void* reallocate_filled(void* p, std::size_t size) noexcept {
  const std::size_t before = blocks::plain::usable_size(p);
  void* const q = blocks::plain::reallocate(p, size);
  if (q == nullptr || is_zeroed_anyway(q)) return q;
  // If it has been copied the rest is filled already, and once more does no harm.
  if (const std::size_t now = blocks::usable_size(q); now > before)
    fill_new(static_cast<char*>(q) + before, now - before);
  return q;
}

}  // namespace

void* allocate(std::size_t alignment, std::size_t size) noexcept {
  if (!ready()) return alignment <= grain ? blocks::allocate(size) : blocks::allocate_aligned(alignment, size);
  if (!checked()) return allocate_filled(alignment, size);
  bool zeroed = false;
  void* const p = allocate_checked(alignment, size, zeroed);
  if (p != nullptr && !(zeroed && the_options.zero)) fill_new(static_cast<char*>(p), size);
  return p;
}

void* allocate_zeroed(std::size_t size) noexcept {
  if (!ready()) return blocks::allocate_zeroed(size);
  bool zeroed = false;
  void* p = nullptr;
  if (checked()) {
    p = allocate_checked(grain, size, zeroed);
  } else {
    p = allocate_filled(grain, size);
    zeroed = p != nullptr && (the_options.zero || is_mapped_alone(p)) && !the_options.junk;
  }
  if (p != nullptr && !zeroed) std::memset(p, 0, size);
  return p;
}

void* reallocate(void* p, std::size_t size) noexcept {
  if (!ready()) return blocks::reallocate(p, size);
  if (!checked()) return reallocate_filled(p, size);
  const std::size_t before = hardened::size_of(p, "realloc");
  if (size == before) return p;
  void* const q = allocate(grain, size);
  if (q == nullptr) return nullptr;
  // Always to another place, so that who still has the old one is found out.
  std::memcpy(q, p, std::min(before, size));
  deallocate_checked(p, "realloc");
  return q;
}

std::size_t usable_size(const void* p) noexcept {
  if (!ready()) return blocks::usable_size(p);
  return checked() ? hardened::size_of(p, "malloc_usable_size") : blocks::plain::usable_size(p);
}

void deallocate(void* p) noexcept {
  if (p == nullptr) return;
  if (!ready()) return blocks::deallocate(p);
  checked() ? deallocate_checked(p, "free") : deallocate_filled(p);
}

namespace {

/// The exact size that was asked for is known where every call is checked, also after realloc().
void check_exact_size(const void* p, std::size_t size) noexcept {
  const std::size_t known = hardened::size_of(p, "delete");
  if (size != known) wrong_size(p, size, known, the_map.contains(p) ? &the_map.span_of(p) : nullptr);
}

/// So is the alignment. Up to that of every block it is all the same.
void check_exact_alignment(const void* p, std::size_t alignment) noexcept {
  const std::size_t known = hardened::alignment_of(p, "delete");
  if (std::max(alignment, grain) != known) wrong_alignment(p, alignment, known);
}

}  // namespace

void deallocate_sized(void* p, std::size_t alignment, std::size_t size) noexcept {
  if (!ready()) return blocks::deallocate_aligned(p, alignment, size);
  if (!checked()) {
    blocks::plain::check_size(p, alignment, size);
  } else {
    if (alignment > 1 && reinterpret_cast<std::uintptr_t>(p) % alignment != 0) wrong_alignment(p, alignment);
    check_exact_size(p, size);
    if (alignment != 0) check_exact_alignment(p, alignment);
  }
  deallocate(p);
}

void deallocate_within(void* p, std::size_t size) noexcept {
  if (!ready()) return blocks::deallocate_within(p, size);
  checked() ? check_exact_size(p, size) : blocks::plain::check_size_within(p, size);
  deallocate(p);
}

}  // namespace heddle::detail::extras
