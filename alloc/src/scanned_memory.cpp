// SPDX-License-Identifier: BSL-1.0
#include "heddle/detail/scanned_memory.hpp"

#include <pthread.h>

#include <cstring>

#include "heddle/detail/sharded_list.hpp"
#include "heddle/detail/trusted.hpp"

namespace heddle::detail {
namespace {

constinit sharded_list<scanned_range> ranges;

/// So many words, told of by 1 ns each, are what others may have to wait for.
constexpr std::size_t most_at_once = 2048;

}  // namespace

constinit std::atomic<bool> scanned_memory::wanted_{false};

void scanned_memory::want() noexcept {
  if (wanted_.exchange(true, std::memory_order_relaxed)) return;
  ::pthread_atfork([] { ranges.lock_all(); }, [] { ranges.unlock_all(); }, [] { ranges.unlock_all(); });
}

void scanned_range::grow(void* place, std::size_t bytes, std::size_t needed) noexcept {
  clear(place, bytes);
  // release: so that a collector finds zero there, or the value; acquire half in scanned_memory::for_each().
  bytes_.store(needed, std::memory_order_release);
}
void scanned_range::clear(void* place, std::size_t bytes) noexcept { std::memset(place, 0, bytes); }

void scanned_memory::add(scanned_range& r) noexcept { ranges.add(r); }
void scanned_memory::remove(scanned_range& r) noexcept { ranges.remove(r); }

void scanned_memory::for_each(visitor* f, void* context) noexcept {
  ranges.for_each(most_at_once, [&](const scanned_range& r) {
    if (!r.is_listed()) return std::size_t{1};  // another collector's place in the list
    // acquire: so that what was made zero is; release half in scanned_range::grow().
    const std::size_t bytes = r.bytes_.load(std::memory_order_acquire);
    if (bytes != 0) f(context, r.from_, bytes);
    return 1 + bytes / sizeof(void*);
  });
}

}  // namespace heddle::detail
