// SPDX-License-Identifier: BSL-1.0
//
// Blocks that are freed with the size with which they were made: checks whether that can be true.
#include <algorithm>
#include <array>

#include "blocks.hpp"
#include "extras.hpp"
#include "misuse.hpp"
#include "reserve_blocks.hpp"

namespace heddle::detail::blocks {
namespace {

constexpr std::size_t os_page = 4096;

/// By tag: the fewest and the most bytes for which a block of a class is taken. None for tag 0.
struct size_range {
  std::uint32_t least, most;
};
constexpr auto sizes_of_tag = [] {
  std::array<size_range, class_count + 1> t{};
  t[0] = {1, 0};
  for (std::size_t c = 0; c != class_count; ++c)
    t[c + 1] = {c == 0 ? 0 : class_info[c - 1].size + 1, class_info[c].size};
  return t;
}();

size_class class_of(std::size_t alignment, std::size_t size) noexcept {
  if (alignment > grain) return class_for_aligned(alignment, size);
  return size <= class_limit ? class_for(size) : size_class{class_count};
}

/// Whether a block made for `size` has `known` bytes, in whole units of `unit`; also for sizes that it may grow to.
bool fills(std::size_t size, std::size_t known, std::size_t unit) noexcept {
  size = std::max<std::size_t>(size, 1);
  return size <= known && size + unit > known;
}

bool can_be(const span& s, std::size_t alignment, std::size_t size) noexcept {
  // A block of the largest class may hold more than the largest size for which one is made.
  if (!s.is_large()) return size <= s.size && class_of(alignment, std::min(size, class_limit - page_size)) == s.klass;
  const size_class c = class_of(alignment, size);
  if (fills(size, s.size, page_size)) return true;
  // A block that is sampled for a heap profile has a span of its own, though it is of a class.
  return c != class_count && pages_for(class_info[c].size) == s.pages;
}

[[gnu::noinline]] void deallocate_slow(void* p, std::size_t alignment, std::size_t size) noexcept {
  if (p == nullptr || the_reserve_blocks.contains(p)) return deallocate(p);
  if (extras::wanted()) return extras::deallocate_sized(p, alignment, size);
  plain::check_size(p, alignment, size);
  deallocate(p);
}

/// Whether p, said to be aligned, is in a block of a class that is made for so many bytes; its tag.
inline bool is_of_class(const void* p, std::size_t size, std::size_t& tag) noexcept {
  const std::size_t number = the_map.grain_of(p);
  if (!the_map.contains_grain(number)) [[unlikely]]
    return false;
  tag = the_map.tag_of_grain(number);
  const size_range range = sizes_of_tag[tag / tag_step];
  return size >= range.least && size <= range.most;
}

/// `alignment`: 1 or 0, if nothing is said of it.
[[gnu::always_inline]] inline void deallocate_unaligned(void* p, std::size_t alignment, std::size_t size) noexcept {
  std::size_t tag = 0;
  if (!is_of_class(p, size, tag)) [[unlikely]]
    return deallocate_slow(p, alignment, size);
  deallocate_tagged(p, tag, [&] { deallocate_slow(p, alignment, size); });
}

}  // namespace

void plain::check_size(const void* p, std::size_t alignment, std::size_t size) noexcept {
  if (alignment > 1 && reinterpret_cast<std::uintptr_t>(p) % alignment != 0) wrong_alignment(p, alignment);
  if (!the_map.contains(p)) {
    const std::size_t known = the_mheap.huge_size(p);
    if (known != 0 && !fills(size, known, os_page)) wrong_size(p, size, known, nullptr);
    return;  // an address that is not ours is found when it is freed
  }
  const span& s = the_map.span_of(p);
  if (!s.begins_manual_block(p)) misuse("delete", p, &s);
  if (!can_be(s, alignment, size)) wrong_size(p, size, s.size, &s);
}

void plain::check_size_within(const void* p, std::size_t size) noexcept {
  const std::size_t known = plain::usable_size(p);
  const span* const s = the_map.contains(p) ? &the_map.span_of(p) : nullptr;
  // reallocate() leaves a block of a class in its place as long as more than half of it is used.
  const bool good = s == nullptr    ? fills(size, known, os_page)
                    : s->is_large() ? can_be(*s, 1, size)
                                    : size <= known && (size > known / 2 || s->klass == 0);
  if (!good) wrong_size(p, size, known, s);
}

void deallocate_sized(void* p, std::size_t size) noexcept { deallocate_unaligned(p, 1, size); }
void deallocate_sized_any_alignment(void* p, std::size_t size) noexcept { deallocate_unaligned(p, 0, size); }

void deallocate_aligned(void* p, std::size_t alignment, std::size_t size) noexcept {
  std::size_t tag = 0;
  // Some sizes of an aligned block are not in the range of its class: smaller classes are not as aligned.
  if ((reinterpret_cast<std::uintptr_t>(p) & (alignment - 1)) != 0 || !is_of_class(p, size, tag)) [[unlikely]]
    return deallocate_slow(p, alignment, size);
  deallocate_tagged(p, tag, [&] { deallocate_slow(p, alignment, size); });
}

void deallocate_within(void* p, std::size_t size) noexcept {
  if (p == nullptr || the_reserve_blocks.contains(p)) return deallocate(p);
  if (extras::wanted()) return extras::deallocate_within(p, size);
  plain::check_size_within(p, size);
  deallocate(p);
}

}  // namespace heddle::detail::blocks
