// SPDX-License-Identifier: BSL-1.0
#include "page_allocator.hpp"

#include <algorithm>
#include <bit>

#include "os.hpp"

namespace heddle::detail {
namespace {

constexpr std::size_t fanout = 8;
constexpr std::size_t os_page = 4096;

constexpr std::size_t round_up(std::size_t n, std::size_t to) noexcept { return (n + to - 1) / to * to; }

// A summary: three numbers of 21 bits.
constexpr unsigned field = 21;
constexpr std::uint64_t field_mask = (std::uint64_t{1} << field) - 1;
constexpr std::uint64_t pack(std::uint64_t start, std::uint64_t longest, std::uint64_t end) noexcept {
  return start | longest << field | end << (2 * field);
}
constexpr std::size_t start_of(std::uint64_t s) noexcept { return s & field_mask; }
constexpr std::size_t longest_of(std::uint64_t s) noexcept { return s >> field & field_mask; }
constexpr std::size_t end_of(std::uint64_t s) noexcept { return s >> (2 * field) & field_mask; }

/// Pages below a node of this level.
constexpr std::size_t pages_of(unsigned level) noexcept {
  std::size_t n = page_allocator::chunk_pages;
  while (level-- != 0) n *= fanout;
  return n;
}

/// Calls f(word index, mask) for each word of the bits [first, first + n) of a chunk.
template <class F>
void for_words(std::size_t first, std::size_t n, F f) noexcept {
  while (n != 0) {
    const std::size_t bit = first % 64;
    const std::size_t here = std::min(n, 64 - bit);
    f(first / 64, (here == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << here) - 1) << bit);
    first += here;
    n -= here;
  }
}

/// Calls f(chunk, first bit, number of bits) for each chunk of the pages [first, first + n).
template <class Chunk, class F>
void for_chunks(Chunk* chunks, std::size_t first, std::size_t n, F f) noexcept {
  constexpr std::size_t per = page_allocator::chunk_pages;
  while (n != 0) {
    const std::size_t bit = first % per;
    const std::size_t here = std::min(n, per - bit);
    f(chunks[first / per], bit, here);
    first += here;
    n -= here;
  }
}

}  // namespace

namespace {

/// Calls f(level, nodes) for each level over so many chunks.
template <class F>
void for_levels(std::size_t chunks, F f) noexcept {
  for (unsigned level = 0; level != page_allocator::levels; ++level, chunks = (chunks + fanout - 1) / fanout)
    f(level, chunks);
}

std::size_t bytes_for(std::size_t chunks) noexcept {
  std::size_t bytes = chunks * sizeof(page_allocator::chunk);
  for_levels(chunks, [&](unsigned, std::size_t nodes) { bytes += nodes * sizeof(std::uint64_t); });
  return bytes;
}

}  // namespace

/// Moves the records to where there is room for so many chunks, and some more.
bool page_allocator::make_room(std::size_t chunks) noexcept {
  if (chunks <= room_) return true;
  constexpr std::size_t least = 28;  // as many as fit into a page of the kernel's
  static_assert(sizeof(chunk) == 136);
  const std::size_t room = std::max({chunks, room_ + room_ / 2, least});
  const std::size_t bytes = round_up(bytes_for(room), os_page);
  char* at = static_cast<char*>(os::map(bytes, os_page));
  if (at == nullptr) return false;
  void* const old = chunks_;
  auto* const moved = reinterpret_cast<chunk*>(at);
  std::copy_n(chunks_, room_, moved);
  chunks_ = moved;
  at += room * sizeof(chunk);
  std::size_t before[levels];
  for_levels(room_, [&](unsigned level, std::size_t nodes) { before[level] = nodes; });
  for_levels(room, [&](unsigned level, std::size_t nodes) {
    auto* const sums = reinterpret_cast<summary*>(at);
    std::copy_n(sums_[level], before[level], sums);
    sums_[level] = sums;
    at += nodes * sizeof(summary);
  });
  if (old != nullptr) os::unmap(old, bytes_);
  room_ = room;
  bytes_ = bytes;
  return true;
}

bool page_allocator::grow(std::size_t first, std::size_t pages) noexcept {
  const std::size_t known = (end_ + chunk_pages - 1) / chunk_pages;
  const std::size_t chunks = (first + pages + chunk_pages - 1) / chunk_pages;
  if (!make_room(chunks)) return false;
  // Pages that were not added count as used, in between or behind.
  for (std::size_t c = known; c != chunks; ++c)
    std::fill(std::begin(chunks_[c].used), std::end(chunks_[c].used), ~std::uint64_t{0});
  for_chunks(chunks_, first, pages, [](chunk& c, std::size_t bit, std::size_t n) {
    for_words(bit, n, [&](std::size_t w, std::uint64_t mask) {
      c.used[w] &= ~mask;
      c.unbacked[w] |= mask;
    });
  });
  end_ = first + pages;
  free_ += pages;
  lowest_ = std::min(lowest_, first);
  refresh(first / chunk_pages, chunks - 1);
  return true;
}

void page_allocator::clear() noexcept {
  if (chunks_ != nullptr) os::unmap(chunks_, bytes_);
  *this = {};
}

page_allocator::summary page_allocator::sum_of(const chunk& c) const noexcept {
  std::size_t start = 0, longest = 0, run = 0;
  bool at_start = true;
  for (const std::uint64_t word : c.used) {
    if (word == 0) {
      run += 64;
      continue;
    }
    run += static_cast<std::size_t>(std::countr_zero(word));
    if (at_start) start = run, at_start = false;
    longest = std::max(longest, run);
    // The longest run of zeros inside of the word.
    std::uint64_t inside =
        ~word & (~std::uint64_t{0} << std::countr_zero(word)) & (~std::uint64_t{0} >> std::countl_zero(word));
    if (static_cast<std::size_t>(std::popcount(inside)) > longest) {
      std::size_t length = 0;
      for (; inside != 0; inside &= inside >> 1) ++length;
      longest = std::max(longest, length);
    }
    run = static_cast<std::size_t>(std::countl_zero(word));
  }
  if (at_start) start = run;
  return pack(start, std::max(longest, run), run);
}

/// Brings the summaries up to date for these chunks.
void page_allocator::refresh(std::size_t first, std::size_t last) noexcept {
  for (std::size_t c = first; c <= last; ++c) sums_[0][c] = sum_of(chunks_[c]);
  for (unsigned level = 1; level != levels; ++level) {
    const std::size_t below = pages_of(level - 1);
    const std::size_t children = (end_ - 1) / below + 1;
    first /= fanout;
    last /= fanout;
    bool changed = false;
    for (std::size_t node = first; node <= last; ++node) {
      std::size_t start = 0, longest = 0, run = 0;
      bool at_start = true;
      for (std::size_t k = 0; k != fanout; ++k) {
        const std::size_t child = node * fanout + k;
        const summary s = child < children ? sums_[level - 1][child] : 0;
        if (at_start) start += start_of(s);
        longest = std::max({longest, longest_of(s), run + start_of(s)});
        if (end_of(s) == below) {
          run += below;
        } else {
          at_start = false;
          run = end_of(s);
        }
      }
      const summary now = pack(start, std::max(longest, run), run);
      changed = changed || now != sums_[level][node];
      sums_[level][node] = now;
    }
    if (!changed) return;
  }
}

/// The first run of free pages in a chunk that has one.
std::size_t page_allocator::find_in_chunk(std::size_t c, std::size_t pages) const noexcept {
  std::size_t run = 0, begin = 0;
  for (std::size_t w = 0; w != 8; ++w) {
    const std::uint64_t word = chunks_[c].used[w];
    std::size_t bit = 0;
    while (bit != 64) {
      const std::uint64_t rest = word >> bit;
      const auto zeros = std::min<std::size_t>(static_cast<std::size_t>(std::countr_zero(rest)), 64 - bit);
      if (run == 0) begin = w * 64 + bit;
      run += zeros;
      if (run >= pages) return c * chunk_pages + begin;
      bit += zeros;
      if (bit == 64) break;
      run = 0;
      bit += static_cast<std::size_t>(std::countr_one(word >> bit));
    }
  }
  return no_page;
}

/// Among the nodes [first, last) of a level, one of which or several together have such a run.
std::size_t page_allocator::find_within(unsigned level, std::size_t first, std::size_t last,
                                        std::size_t pages) const noexcept {
  const std::size_t size = pages_of(level);
  std::size_t run = 0, begin = 0;
  for (std::size_t node = first; node != last; ++node) {
    const summary s = sums_[level][node];
    if (run == 0) begin = node * size;
    if (run + start_of(s) >= pages) return begin;
    if (longest_of(s) >= pages) {
      if (level == 0) return find_in_chunk(node, pages);
      const std::size_t children = (end_ - 1) / pages_of(level - 1) + 1;
      return find_within(level - 1, node * fanout, std::min((node + 1) * fanout, children), pages);
    }
    if (end_of(s) == size) {
      run += size;
    } else {
      run = end_of(s);
      begin = (node + 1) * size - run;
    }
  }
  return no_page;
}

std::size_t page_allocator::find(std::size_t pages) const noexcept {
  if (pages > free_ || end_ == 0) return no_page;
  constexpr std::size_t root = pages_of(levels - 1);
  return find_within(levels - 1, lowest_ / root, (end_ - 1) / root + 1, pages);
}

/// Returns how many had no memory.
std::size_t page_allocator::mark_used(std::size_t first, std::size_t pages) noexcept {
  std::size_t unbacked = 0;
  for_chunks(chunks_, first, pages, [&](chunk& c, std::size_t bit, std::size_t n) {
    std::size_t here = 0;
    for_words(bit, n, [&](std::size_t w, std::uint64_t mask) {
      here += static_cast<std::size_t>(std::popcount(c.unbacked[w] & mask));
      c.unbacked[w] &= ~mask;
      c.used[w] |= mask;
    });
    c.idle_resident -= static_cast<std::uint32_t>(n - here);
    unbacked += here;
  });
  free_ -= pages;
  idle_resident_ -= pages - unbacked;
  refresh(first / chunk_pages, (first + pages - 1) / chunk_pages);
  return unbacked;
}

std::size_t page_allocator::take(std::size_t pages, std::size_t align, std::size_t& fresh) noexcept {
  std::size_t at = find(pages + align - 1);
  if (at == no_page) return no_page;
  // Nothing below the first single page that is free.
  if (pages == 1 && align == 1) lowest_ = at + 1;
  at = round_up(at, align);
  fresh = mark_used(at, pages);
  return at;
}

bool page_allocator::take_at(std::size_t first, std::size_t pages, std::size_t& fresh) noexcept {
  if (first + pages > end_) return false;
  bool free = true;
  for_chunks(chunks_, first, pages, [&](chunk& c, std::size_t bit, std::size_t n) {
    for_words(bit, n, [&](std::size_t w, std::uint64_t mask) { free = free && (c.used[w] & mask) == 0; });
  });
  if (free) fresh = mark_used(first, pages);
  return free;
}

void page_allocator::give(std::size_t first, std::size_t pages, bool backed) noexcept {
  for_chunks(chunks_, first, pages, [&](chunk& c, std::size_t bit, std::size_t n) {
    for_words(bit, n, [&](std::size_t w, std::uint64_t mask) {
      c.used[w] &= ~mask;
      if (!backed) c.unbacked[w] |= mask;
    });
    if (!backed) return;
    c.idle_resident += static_cast<std::uint32_t>(n);
    c.freed_at = round_;
  });
  free_ += pages;
  if (backed) idle_resident_ += pages;
  lowest_ = std::min(lowest_, first);
  refresh(first / chunk_pages, (first + pages - 1) / chunk_pages);
}

std::size_t page_allocator::take_idle(std::size_t from, std::uint32_t round, std::size_t& pages) noexcept {
  for (std::size_t c = from / chunk_pages; c * chunk_pages < end_; ++c) {
    const chunk& here = chunks_[c];
    if (here.idle_resident == 0 || static_cast<std::int32_t>(here.freed_at - round) >= 0) continue;
    const std::size_t skip = c == from / chunk_pages ? from % chunk_pages : 0;
    std::size_t begin = chunk_pages, length = 0;
    for (std::size_t bit = skip; bit != chunk_pages && length != longest_idle; ++bit) {
      const bool idle = ((here.used[bit / 64] | here.unbacked[bit / 64]) >> bit % 64 & 1) == 0;
      if (idle && length++ == 0) begin = bit;
      if (!idle && length != 0) break;
    }
    if (length == 0) continue;
    pages = length;
    mark_used(c * chunk_pages + begin, length);
    return c * chunk_pages + begin;
  }
  return no_page;
}

}  // namespace heddle::detail
