// SPDX-License-Identifier: BSL-1.0
#include "mcentral.hpp"

#include <bit>

#include "misuse.hpp"
#include "scavenger.hpp"

namespace heddle::detail {

constinit std::array<mcentral, span_class_count> the_mcentrals;

namespace {

/// How many blocks are linked at a time. As many as come next are fetched out of the cache of whoever has freed them
/// meanwhile: all at once, where stores would wait for each other.
constexpr unsigned linked_at_once = 12;

/// Where the processor has no such instruction it does nothing.
void prefetch_to_write(void* p) noexcept { asm volatile("prefetchw %0" : : "m"(*static_cast<char*>(p))); }

}  // namespace

std::uint32_t collect_remote(span& s) noexcept {
  // acquire: so that what the blocks tell is seen; release half in mcache::hand_over().
  constexpr std::memory_order order = std::memory_order_acquire;
  const std::uint64_t word =
      HEDDLE_PLANTED(flag_kept)
          ? s.remote.fetch_and(remote_word::at_mcentral, order)
          : s.remote.exchange(0, HEDDLE_PLANTED(collected_without_acquire) ? std::memory_order_relaxed : order);
  const remote_block* const first = remote_word::list(word);
  if (first == nullptr) return 0;
  const std::uint32_t count = remote_word::count(word);
  if (count > s.in_use()) [[unlikely]]
    damaged("of its span more blocks were freed than were in use, so one was freed twice", first, &s);
  while (s.teller != 0) link_told(s);
  s.teller = s.number_of(first);
  s.told = static_cast<std::uint16_t>(count);
  return count;
}

void link_told(span& s) noexcept {
  remote_block& b = s.teller_at(s.teller - 1u);
  const std::uint64_t blocks = b.blocks;
  const std::size_t first = b.first;
  const std::uint16_t next = b.next;
  const auto count = static_cast<std::uint32_t>(std::popcount(blocks));
  if (blocks == 0 || first + static_cast<std::size_t>(std::bit_width(blocks)) != s.teller || next > s.capacity ||
      (next == 0 ? count != s.told : count >= s.told)) [[unlikely]]
    broken_link(&b, s);
  char* const start = s.start + first * s.size;
  const auto take_first = [start, &s](std::uint64_t& some) {
    char* const block = start + static_cast<std::size_t>(std::countr_zero(some)) * s.size;
    some &= some - 1;
    return block;
  };
  // b is the last of them, so it is linked when nothing is left of which it has to tell.
  std::uint64_t rest = blocks;
  free_block* const behind = s.free;
  free_block** link = &s.free;
  unsigned linked = 0;
  for (; linked != linked_at_once && rest != 0; ++linked) {
    auto* const block = reinterpret_cast<free_block*>(take_first(rest));
    *link = block;
    link = &block->next;
  }
  *link = behind;
  s.told = static_cast<std::uint16_t>(s.told - linked);
  if (rest == 0) {
    s.teller = next;
    return;
  }
  b.blocks = rest;
  for (unsigned n = 0; n != linked_at_once && rest != 0; ++n) prefetch_to_write(take_first(rest));
}

void mcentral::unlist(span& s) noexcept {
  if (!HEDDLE_PLANTED(taken_stays_listed)) s.listed.store(0, std::memory_order_relaxed);
  spans_.erase(s);
  --count_;
  the_scavenger.notice_dense(s.bytes());
}

bool mcentral::give(span& s, end where) noexcept {
  const thread_lock hold(lock_);
  for (;;) {
    const std::uint32_t in_use = s.in_use();
    if (in_use == 0) return false;
    if (!HEDDLE_PLANTED(left_after_flag)) s.left.store(in_use, std::memory_order_relaxed);
    s.owner.store(nullptr, std::memory_order_relaxed);
    std::uint64_t nothing = 0;
    // release: so that who sees the flag sees `left`, which goes with it; acquire half in mcache::hand_over().
    if (s.remote.compare_exchange_strong(nothing, remote_word::at_mcentral, std::memory_order_release,
                                         std::memory_order_relaxed))
      break;
    if (HEDDLE_PLANTED(given_without_collecting)) {
      s.remote.fetch_or(remote_word::at_mcentral, std::memory_order_release);
      break;
    }
    s.live -= collect_remote(s);
  }
  if (HEDDLE_PLANTED(left_after_flag)) s.left.store(s.in_use(), std::memory_order_relaxed);
  s.state = span_state::central;
  s.listed.store(static_cast<std::uint8_t>(span_class_of(s.kind, s.klass) + 1), std::memory_order_relaxed);
  where == end::front ? spans_.push_front(s) : spans_.push_back(s);
  ++count_;
  the_scavenger.notice_sparse(s.bytes());
  // Else it is the scavenger who has looked at it.
  if (where == end::front) s.given_in = static_cast<std::uint8_t>(the_scavenger.round());
  return true;
}

span* mcentral::take() noexcept {
  const thread_lock hold(lock_);
  span* const s = spans_.first();
  if (s != nullptr) unlist(*s);
  return s;
}

bool mcentral::take_emptied(span& s) noexcept {
  const thread_lock hold(lock_);
  // It may have been taken by another, and have become something else. If it is listed here, it is of this class, and
  // stays so while the lock is held.
  if (s.listed.load(std::memory_order_relaxed) != static_cast<std::uint8_t>(this - the_mcentrals.data()) + 1 &&
      !HEDDLE_PLANTED(emptied_of_another))
    return false;
  // acquire: whoever has freed a block there has done with it; release half in mcache::hand_over().
  const std::uint64_t word = s.remote.load(std::memory_order_acquire);
  if (remote_word::count(word) != s.left.load(std::memory_order_relaxed)) return false;
  unlist(s);
  return true;
}

std::size_t mcentral::count() noexcept {
  const thread_lock hold(lock_);
  return count_;
}

}  // namespace heddle::detail
