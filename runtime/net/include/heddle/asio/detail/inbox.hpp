// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "heddle/detail/platform.hpp"

namespace heddle::asio::detail {

/// Something that a reactor's thread is to do. Lies where the sender keeps it until it has run.
struct command {
  explicit constexpr command(void (*f)(command&) noexcept) noexcept : run(f) {}
  command(const command&) = delete;
  command& operator=(const command&) = delete;

  void (*const run)(command&) noexcept;  ///< may end the command's lifetime
  command* next = nullptr;               ///< the inbox's
};

/// Commands of any number of senders for one owner, in the order in which they came.
///
/// 1. The list runs from the newest to the oldest. Senders put at its head, and the owner takes it as a whole, so a
///    command cannot come back to the head while a sender compares.
/// 2. A sender that finds it empty calls the owner. The owner takes everything that came until it looks. So one call is
///    enough for all that come meanwhile, and a call may find nothing.
///
/// boost::lockfree::queue has 27 ns where this has 5, cannot tell whether it was empty, allocates, and reads nodes that
/// another sender is writing, which ThreadSanitizer reports.
class inbox {
 public:
  constexpr inbox() noexcept = default;
  inbox(const inbox&) = delete;
  inbox& operator=(const inbox&) = delete;

  /// True: it was empty, and the sender must call the owner. The command may have run and be gone by then.
  [[nodiscard]] bool put(command& c) noexcept {
    const auto order = HEDDLE_PLANTED(inbox_put_relaxed) ? std::memory_order_relaxed : std::memory_order_release;
    command* newest = head_.load(std::memory_order_relaxed);
    const bool looked_empty = newest == nullptr;
    do {
      c.next = newest;
      // release: so that the owner sees the command and what the sender did before; acquire half in take_all().
    } while (!head_.compare_exchange_weak(newest, &c, order, std::memory_order_relaxed));
    return HEDDLE_PLANTED(inbox_called_by_first_look) ? looked_empty : newest == nullptr;
  }

  /// For the owner: what has come since the last time, the oldest first; null if nothing has.
  [[nodiscard]] command* take_all() noexcept {
    command* newest = take_newest();
    command* oldest = nullptr;
    while (newest != nullptr) {
      command* const older = newest->next;
      newest->next = oldest;
      oldest = newest;
      newest = older;
    }
    return oldest;
  }

  /// For the owner: runs what has come until now, and not what comes meanwhile.
  void run_all() noexcept {
    for (command* c = take_all(); c != nullptr;) {
      command* const next = c->next;  // before it runs, since it may be gone afterwards
      c->run(*c);
      c = next;
    }
  }

 private:
  command* take_newest() noexcept {
    // acquire: so that the commands are seen as their senders left them; release half in put().
    if (!HEDDLE_PLANTED(inbox_taken_in_two_steps)) return head_.exchange(nullptr, std::memory_order_acquire);
    command* const newest = head_.load(std::memory_order_acquire);
    head_.store(nullptr, std::memory_order_relaxed);
    return newest;
  }

  heddle::detail::atomic<command*> head_{nullptr};
};

}  // namespace heddle::asio::detail
