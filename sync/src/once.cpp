// SPDX-License-Identifier: BSL-1.0
#include "heddle/once.hpp"

#include "heddle/detail/trusted.hpp"
#include "heddle/detail/wait_description.hpp"
#include "misuse.hpp"

namespace heddle {

/// A caller that waits for the call that runs. It begins as wait_argument::first_word says.
struct once_flag::arrival {
  once_flag* at;
  detail::waiter self;
};

/// True: the caller is to make the call, and then to say end(). False: it has been made.
bool once_flag::begin() noexcept {
  for (;;) {
    std::uintptr_t word = never;
    // acquire: so that what a call did is seen, one that returned or one that threw; release half in end().
    if (word_.compare_exchange_strong(word, running, std::memory_order_acquire, std::memory_order_acquire)) {
      runner_.store(detail::caller(), std::memory_order_relaxed);
      return true;
    }
    if (word == done) return false;
    if (runner_.load(std::memory_order_relaxed) == detail::caller()) recursion();
    arrival here{this, {}};
    here.self.park(join_list, detail::as_argument<detail::wait_argument::first_word>(here));
  }
}

/// Runs when the waiter is off its stack.
void once_flag::join_list(void* arriving) {
  arrival& here = detail::from_argument<detail::wait_argument::first_word, arrival>(arriving);
  detail::atomic<std::uintptr_t>& word = here.at->word_;
  std::uintptr_t last = word.load(std::memory_order_relaxed);
  while (last != never && last != done) {
    here.self.next = last == running ? nullptr : reinterpret_cast<detail::waiter*>(last);
    // release: so that the runner sees the waiter; acquire half in end(). It is the last touch of the waiter.
    if (word.compare_exchange_weak(last, reinterpret_cast<std::uintptr_t>(&here.self), std::memory_order_release,
                                   std::memory_order_relaxed))
      return;
  }
  here.self.wake();  // the call has ended meanwhile
}

/// How reports describe a fiber that waits for the call of another.
struct detail::once_waits {
  static const void* runner(void* argument) {
    return from_argument<wait_argument::first_word, once_flag::arrival>(argument).at->runner_.load(
        std::memory_order_relaxed);
  }
  static void describe(void* argument, wait_text& to) {
    const auto& here = from_argument<wait_argument::first_word, once_flag::arrival>(argument);
    to.say("for the call of once_flag %p", static_cast<const void*>(here.at));
    if (const void* const by = runner(argument)) {
      to.say(", which ");
      to.say_caller(by);
      to.say(" makes");
    }
  }
  static const wait_description registered;
};
const detail::wait_description detail::once_waits::registered(once_flag::join_list, describe, runner);

/// Ends the caller's call and wakes all who wait for it, in the order in which they came.
void once_flag::end(bool returned) noexcept {
  runner_.store(nullptr, std::memory_order_relaxed);
  const std::uintptr_t next = returned ? done : never;
  std::uintptr_t last = 0;
  if (HEDDLE_PLANTED(once_ends_by_store)) {
    last = word_.load(std::memory_order_acquire);  // acquire, release: as below
    word_.store(next, std::memory_order_release);
  } else {
    // release: so that what the call did is seen; acquire half in is_done(), begin(). acquire: so that the waiters are
    // seen; release half in join_list(). It is the last touch of the flag, which may be gone from here on.
    last = word_.exchange(next, std::memory_order_acq_rel);
  }
  if (last == running || (!returned && HEDDLE_PLANTED(once_failure_wakes_nobody))) return;
  detail::waiter* first = nullptr;
  for (auto* w = reinterpret_cast<detail::waiter*>(last); w != nullptr;) {
    detail::waiter* const before = w->next;
    w->next = first;
    first = w;
    w = before;
  }
  while (first != nullptr) {
    detail::waiter* const rest = first->next;  // a woken one is gone
    first->wake();
    first = rest;
  }
}

void once_flag::recursion() const noexcept {
  detail::misuse("once_flag", this, "call_once() inside the call that it is to wait for; use another flag");
}

void once_flag::destroyed_in_use() const noexcept {
  detail::destroyed_in_use("once_flag", this, "destroyed while its call runs; join the caller first");
}

}  // namespace heddle
