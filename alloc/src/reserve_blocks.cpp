// SPDX-License-Identifier: BSL-1.0
#include "reserve_blocks.hpp"

#include <algorithm>
#include <bit>
#include <new>

#include "heddle/detail/size_class.hpp"
#include "os.hpp"

namespace heddle::detail {

constinit reserve_blocks the_reserve_blocks;

namespace {

constexpr std::size_t os_page = 4096;
constexpr std::size_t least_chunk = std::size_t{256} << 10;
constexpr std::size_t most_chunk = std::size_t{16} << 20;  // unless for a single block: a block keeps its whole chunk
constexpr std::size_t absurd = std::size_t{1} << 46;

}  // namespace

/// The beginning of a chunk.
struct reserve_blocks::chunk {
  std::size_t bytes;
  std::size_t used;            ///< from its beginning on
  atomic<std::uint32_t> live;  ///< blocks, and one more while it is the current one
};

namespace {

/// The word before a block.
struct header {
  void* chunk;
  std::size_t size;
};
static_assert(sizeof(header) == grain);

header& header_of(const void* p) noexcept {
  return *reinterpret_cast<header*>(reinterpret_cast<std::uintptr_t>(p) - sizeof(header));
}

}  // namespace

/// `bytes`: a power of two, of at least a page.
reserve_blocks::chunk* reserve_blocks::make_chunk(std::size_t bytes) noexcept {
  void* const memory = os::map(bytes, os_page);
  if (memory == nullptr) return nullptr;
  auto* const c = new (memory) chunk{bytes, sizeof(chunk), 1};
  const auto word = reinterpret_cast<std::uintptr_t>(memory) | static_cast<unsigned>(std::countr_zero(bytes / os_page));
  for (std::size_t i = 0; i != most_chunks; ++i) {
    std::uintptr_t expected = 0;
    if (chunks_[i].load(std::memory_order_relaxed) == 0 &&
        chunks_[i].compare_exchange_strong(expected, word, std::memory_order_relaxed, std::memory_order_relaxed)) {
      std::size_t n = slots_.load(std::memory_order_relaxed);
      while (n <= i && !slots_.compare_exchange_weak(n, i + 1, std::memory_order_relaxed, std::memory_order_relaxed)) {
      }
      return c;
    }
  }
  os::unmap(memory, bytes);
  return nullptr;
}

bool reserve_blocks::finds(const void* p) const noexcept {
  const std::size_t n = slots_.load(std::memory_order_relaxed);
  for (std::size_t i = 0; i != n; ++i) {
    const std::uintptr_t word = chunks_[i].load(std::memory_order_relaxed);
    const std::uintptr_t begin = word & ~(os_page - 1);
    if (word != 0 && reinterpret_cast<std::uintptr_t>(p) - begin < os_page << (word & (os_page - 1))) return true;
  }
  return false;
}

/// The chunk has a block less, or is no longer the current one of a lane.
void reserve_blocks::drop(chunk& c) noexcept {
  const bool is_large = c.bytes > least_chunk;
  // acquire, release: so that the last thread comes behind the work of all others in it.
  const std::uint32_t before = c.live.fetch_sub(1, std::memory_order_acq_rel);
  if (before == 2 && is_large) return drop_if_current(&c);
  if (before != 1) return;
  const std::size_t n = slots_.load(std::memory_order_relaxed);
  for (std::size_t i = 0; i != n; ++i)
    if ((chunks_[i].load(std::memory_order_relaxed) & ~(os_page - 1)) == reinterpret_cast<std::uintptr_t>(&c))
      chunks_[i].store(0, std::memory_order_relaxed);
  os::unmap(&c, c.bytes);
}

/// A lane need not keep a large chunk of which all blocks have been freed. `c` may have gone already.
void reserve_blocks::drop_if_current(const chunk* c) noexcept {
  for (lane& l : lanes_) {
    // acquire: as in take_lane().
    if (l.busy.exchange(true, std::memory_order_acquire)) continue;
    chunk* const mine = l.current;
    const bool is_empty = mine != nullptr && mine == c && mine->live.load(std::memory_order_relaxed) == 1;
    if (is_empty) l.current = nullptr;
    leave(l);
    if (is_empty) return drop(*mine);
  }
}

/// Null: all are in use, be it by calls that this one has interrupted.
reserve_blocks::lane* reserve_blocks::take_lane() noexcept {
  for (lane& l : lanes_)
    // acquire: so that the chunk is seen as the last thread left it; release half in leave().
    if (!l.busy.load(std::memory_order_relaxed) && !l.busy.exchange(true, std::memory_order_acquire)) return &l;
  return nullptr;
}

void reserve_blocks::leave(lane& l) noexcept {
  // release: so that the next thread sees its chunk; acquire half in take_lane().
  l.busy.store(false, std::memory_order_release);
}

/// The lane's chunk, or one for a single block.
reserve_blocks::chunk* reserve_blocks::chunk_with(std::size_t room, lane* l) noexcept {
  if (l != nullptr) {
    chunk* const c = l->current;
    // acquire: so that the work of other threads in their blocks is over; release half in drop().
    if (c != nullptr && c->live.load(std::memory_order_acquire) == 1) c->used = sizeof(chunk);  // all were freed
    if (c != nullptr && c->bytes - c->used >= room) return c;
    const std::size_t twice = c != nullptr ? 2 * c->bytes : least_chunk;
    const std::size_t bytes = std::min(std::max(twice, std::bit_ceil(4 * room)), most_chunk);
    chunk* const next = room <= bytes / 4 ? make_chunk(bytes) : nullptr;
    if (next != nullptr) {
      if (c != nullptr) drop(*c);
      return l->current = next;
    }
  }
  return make_chunk(std::bit_ceil(std::max(room + sizeof(chunk), os_page)));
}

void* reserve_blocks::allocate(std::size_t alignment, std::size_t size) noexcept {
  if (size >= absurd || alignment >= absurd) return nullptr;
  alignment = std::max(alignment, grain);
  const std::size_t room = ((size + grain - 1) & ~(grain - 1)) + sizeof(header) + alignment;
  lane* const mine = take_lane();
  chunk* const c = chunk_with(room, mine);
  void* p = nullptr;
  if (c != nullptr) {
    const auto begin = reinterpret_cast<std::uintptr_t>(c);
    const std::uintptr_t at = (begin + c->used + sizeof(header) + alignment - 1) & ~(alignment - 1);
    c->used = at - begin + ((size + grain - 1) & ~(grain - 1));
    p = reinterpret_cast<void*>(at);
    header_of(p) = {c, size};
    // A chunk for a single block has the count it was made with.
    if (mine != nullptr && c == mine->current) c->live.fetch_add(1, std::memory_order_relaxed);
  }
  if (mine != nullptr) leave(*mine);
  return p;
}

std::size_t reserve_blocks::size_of(const void* p) noexcept { return header_of(p).size; }

void reserve_blocks::deallocate(void* p) noexcept { drop(*static_cast<chunk*>(header_of(p).chunk)); }

void reserve_blocks::defer(void* p) noexcept {
  auto* const l = static_cast<link*>(p);
  l->next = deferred_.load(std::memory_order_relaxed);
  // release: so that the taker sees the link; acquire half in take_deferred().
  while (!deferred_.compare_exchange_weak(l->next, l, std::memory_order_release, std::memory_order_relaxed)) {
  }
}

void reserve_blocks::forked() noexcept {
  for (lane& l : lanes_) {
    l.current = nullptr;
    l.busy.store(false, std::memory_order_relaxed);
  }
  deferred_.store(nullptr, std::memory_order_relaxed);
}

}  // namespace heddle::detail
