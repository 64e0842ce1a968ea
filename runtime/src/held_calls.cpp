// SPDX-License-Identifier: BSL-1.0
#include "held_calls.hpp"

#include <utility>

#include "heddle/detail/trusted.hpp"
#include "scheduler.hpp"

namespace heddle::detail {
namespace {

/// The last one first.
constinit atomic<held_call*> held{nullptr};

}  // namespace

void calls_held::let_go() noexcept {
  do {
    platform::hold_calls(true);
    make_held_calls();
    platform::hold_calls(false);
  } while (some_calls_held());
}

void sleep_on(atomic<std::uint32_t>& word, std::uint32_t expected, nanoseconds_t deadline) noexcept {
  const bool holds = platform::holds_calls();
  if (holds) calls_held::let_go();
  platform::futex_wait(word, expected, deadline);
  if (holds) platform::hold_calls(true);
}

bool calls_are_held() noexcept { return platform::holds_calls(); }

void hold_call(held_call& c) noexcept {
  held_call* first = held.load(std::memory_order_relaxed);
  do {
    c.next = first;
    // seq_cst, which is release too: so that the thread that takes the list sees the link; acquire half in
    // make_held_calls(). And before the look at the monitor's nap; other half in monitor::sleep().
  } while (!held.compare_exchange_weak(first, &c, std::memory_order_seq_cst, std::memory_order_relaxed));
  if (const visit s; s) s->notice_held_call();
}

void make_held_calls() noexcept {
  if (held.load(std::memory_order_relaxed) == nullptr) return;
  // acquire: so that the links are seen; release half in hold_call().
  held_call* c = held.exchange(nullptr, std::memory_order_acquire);
  while (c != nullptr) {
    held_call& one = *std::exchange(c, c->next);
    one.call(one);  // it may be gone then, or be in the list again
  }
}

bool some_calls_held() noexcept {
  return held.load(std::memory_order_seq_cst) != nullptr;  // seq_cst: after the nap; other half in hold_call()
}

}  // namespace heddle::detail
