// SPDX-License-Identifier: BSL-1.0
#include "reserve_blocks.hpp"

#include <algorithm>
#include <bit>
#include <new>

#include "os.hpp"
#include "size_class.hpp"

namespace heddle::detail {

constinit reserve_blocks the_reserve_blocks;

namespace {

constexpr std::size_t os_page = 4096;
constexpr std::size_t least_chunk = std::size_t{256} << 10;
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

reserve_blocks::chunk* reserve_blocks::make_chunk(std::size_t room) noexcept {
  const std::size_t bytes = std::bit_ceil(std::max(room + sizeof(chunk), least_chunk));
  void* const memory = os::map(bytes, os_page);
  if (memory == nullptr) return nullptr;
  auto* const c = new (memory) chunk{bytes, sizeof(chunk), 1};
  const auto word = reinterpret_cast<std::uintptr_t>(memory) | static_cast<unsigned>(std::countr_zero(bytes / os_page));
  for (atomic<std::uintptr_t>& at : chunks_) {
    std::uintptr_t expected = 0;
    if (at.load(std::memory_order_relaxed) == 0 &&
        at.compare_exchange_strong(expected, word, std::memory_order_relaxed, std::memory_order_relaxed)) {
      any_.store(true, std::memory_order_relaxed);
      return c;
    }
  }
  os::unmap(memory, bytes);
  return nullptr;
}

bool reserve_blocks::finds(const void* p) const noexcept {
  for (const atomic<std::uintptr_t>& at : chunks_) {
    const std::uintptr_t word = at.load(std::memory_order_relaxed);
    const std::uintptr_t begin = word & ~(os_page - 1);
    if (word != 0 && reinterpret_cast<std::uintptr_t>(p) - begin < os_page << (word & (os_page - 1))) return true;
  }
  return false;
}

/// The chunk has a block less, or is no longer the current one.
void reserve_blocks::drop(chunk& c) noexcept {
  // acquire, release: so that the last thread comes behind the work of all others in it.
  if (c.live.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  for (atomic<std::uintptr_t>& at : chunks_)
    if ((at.load(std::memory_order_relaxed) & ~(os_page - 1)) == reinterpret_cast<std::uintptr_t>(&c))
      at.store(0, std::memory_order_relaxed);
  os::unmap(&c, c.bytes);
}

void* reserve_blocks::allocate(std::size_t alignment, std::size_t size) noexcept {
  if (size >= absurd || alignment >= absurd) return nullptr;
  alignment = std::max(alignment, grain);
  const std::size_t room = ((size + grain - 1) & ~(grain - 1)) + sizeof(header) + alignment;
  // acquire: so that current_ is seen as the last thread left it; release half below.
  const bool mine = !busy_.exchange(true, std::memory_order_acquire);
  chunk* c = mine ? current_ : nullptr;
  if (c != nullptr && c->live.load(std::memory_order_relaxed) == 1) c->used = sizeof(chunk);  // all were freed
  if (c == nullptr || c->bytes - c->used < room) {
    if (c != nullptr) drop(*c);
    c = make_chunk(room);
    if (mine) current_ = c;
  }
  void* p = nullptr;
  if (c != nullptr) {
    const auto begin = reinterpret_cast<std::uintptr_t>(c);
    const std::uintptr_t at = (begin + c->used + sizeof(header) + alignment - 1) & ~(alignment - 1);
    c->used = at - begin + ((size + grain - 1) & ~(grain - 1));
    p = reinterpret_cast<void*>(at);
    header_of(p) = {c, size};
    if (mine) c->live.fetch_add(1, std::memory_order_relaxed);  // else it has the count it was made with
  }
  // release: as above.
  if (mine) busy_.store(false, std::memory_order_release);
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
  current_ = nullptr;
  busy_.store(false, std::memory_order_relaxed);
  deferred_.store(nullptr, std::memory_order_relaxed);
}

}  // namespace heddle::detail
