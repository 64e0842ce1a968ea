// SPDX-License-Identifier: BSL-1.0
#include "mcentral.hpp"

#include "misuse.hpp"
#include "scavenger.hpp"

namespace heddle::detail {

constinit std::array<mcentral, span_class_count> the_mcentrals;

std::uint32_t collect_remote(span& s) noexcept {
  // acquire: so that the links of the blocks are seen; release half in mcache::send().
  constexpr std::memory_order order = std::memory_order_acquire;
  const std::uint64_t word =
      HEDDLE_PLANTED(flag_kept)
          ? s.remote.fetch_and(remote_word::at_mcentral, order)
          : s.remote.exchange(0, HEDDLE_PLANTED(collected_without_acquire) ? std::memory_order_relaxed : order);
  free_block* const first = remote_word::list(word);
  if (first == nullptr) return 0;
  const std::uint32_t count = remote_word::count(word);
  if (count > s.in_use()) [[unlikely]]
    damaged("of its span more blocks were freed than were in use, so one was freed twice", first, &s);
  const std::size_t most_named = remote_block::capacity(s.size);
  free_block* all = s.free;
  const auto push = [&all](free_block* b) {
    b->next = all;
    all = b;
  };
  std::uint32_t found = 0;
  for (auto* b = static_cast<remote_block*>(first); b != nullptr;) {
    auto* const rest = static_cast<remote_block*>(b->next);
    const std::size_t named = b->named();
    found += static_cast<std::uint32_t>(named) + 1;
    if (named > most_named || (rest == nullptr ? found != count : found > count || !s.may_link_to(rest))) [[unlikely]]
      broken_link(b, s);
    for (std::size_t i = 0; i != named; ++i) {
      const std::size_t number = b->other(i);
      if (number >= s.capacity) [[unlikely]]
        broken_link(b, s);
      push(reinterpret_cast<free_block*>(s.start + number * s.size));
    }
    push(b);
    b = rest;
  }
  s.free = all;
  return count;
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
    // release: so that who sees the flag sees `left`, which goes with it; acquire half in mcache::send().
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
  // acquire: whoever has freed a block there has done with it; release half in mcache::send().
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
