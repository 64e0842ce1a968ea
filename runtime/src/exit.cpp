// SPDX-License-Identifier: BSL-1.0
#include "exit.hpp"

#include <cstdio>
#include <cstdlib>

#include "heddle/run.hpp"
#include "heddle/this_fiber.hpp"
#include "platform_services.hpp"
#include "scheduler.hpp"

namespace heddle::detail {
namespace {

/// Fibers may need static objects, and destructors of static objects may end fibers. So the first look at exit waits
/// for fibers that go on by themselves, and the last one, when all destructors have run, does so again. On the thread
/// that has started the runtime the first look is taken by a thread-local object, whose destructor runs before those of
/// all static objects; on others by a handler of exit(), which comes after those that are younger. Neither waits for
/// ever: a fiber that polls, or is in a blocking call, until a destructor ends it would keep that from running, and
/// one that nobody ends would keep the process.
constexpr nanoseconds_t grace = 1'000'000'000;    // for each look
constexpr nanoseconds_t at_last = 3'000'000'000;  // more, in the last one

struct exit_state {
  atomic<std::uint32_t> exits{0};
  atomic<std::uint32_t> main_left{0};
  atomic<std::uint32_t> main_watched{0};  // 1: main_left will tell
  atomic<std::uint32_t> looked{0};        // 1: the first look has been taken before the handler's turn
  atomic<std::uint32_t> watched{0};
  atomic<std::uint32_t> impatient{0};  // 1: sleepers have had their time
};
constinit exit_state state;

/// Whether the caller may wait for fibers: it is no fiber itself, and no machine's thread.
bool may_wait() noexcept { return !this_fiber::is_fiber() && !on_dismissed_machine(); }

/// `last`: nothing is to come but the end.
void look_at_fibers(bool last) noexcept {
  state.exits.store(1, std::memory_order_relaxed);
  state.watched.store(0, std::memory_order_relaxed);  // a runtime that a destructor starts is waited for in its turn
  if (!may_wait()) return;
  const nanoseconds_t patience = state.impatient.load(std::memory_order_relaxed) != 0 ? 0 : grace;
  settled how = wind_up(patience, grace);
  if (how == settled::busy && last) {
    std::fprintf(stderr,
                 "heddle: the process waits for fibers that still run or are in blocking calls, %d s more at most "
                 "(fibers left: %zu)\n",
                 static_cast<int>(at_last / 1'000'000'000), stats().fibers);
    how = wind_up(patience, at_last);
  }
  if (how == settled::rests) state.impatient.store(1, std::memory_order_relaxed);
}

void leave_process() noexcept {
  if (state.looked.exchange(0, std::memory_order_relaxed) == 0) look_at_fibers(false);
}

/// Of a thread that has started a runtime. Its destructor runs when exit() is called on the thread, or when it ends.
struct first_look {
  bool armed = false;
  ~first_look() {
    if (!platform::called_by_exit()) return;
    look_at_fibers(false);
    state.looked.store(1, std::memory_order_relaxed);
  }
};
thread_local first_look of_thread;

/// Called after the destructors of all static objects.
[[gnu::destructor]] void leave_process_at_last() noexcept { look_at_fibers(true); }

/// Called by pthread_exit() on the main thread.
void note_main_left() noexcept {
  state.main_left.store(1, std::memory_order_seq_cst);  // seq_cst: before the look at the nap in monitor::wake()
  if (const visit s; s) s->notice_main_left();
}

}  // namespace

bool process_exits() noexcept { return state.exits.load(std::memory_order_relaxed) != 0 || platform::called_by_exit(); }

void watch_exit() {
  if (state.watched.exchange(1, std::memory_order_relaxed) != 0) return;
  platform::stay_loaded();
  std::atexit(leave_process);
}

[[gnu::noinline]] void watch_end_of_thread() noexcept {
  of_thread.armed = true;
  if (!platform::is_main_thread()) return;
  platform::at_end_of_thread(note_main_left);
  state.main_watched.store(1, std::memory_order_relaxed);
}

bool main_thread_left() noexcept {
  return state.main_left.load(std::memory_order_seq_cst) != 0;  // seq_cst: after the nap is announced; half above
}

bool main_may_leave_unseen() noexcept { return state.main_watched.load(std::memory_order_relaxed) == 0; }

void exit_by_monitor() noexcept { std::exit(0); }

void forget_exit() noexcept {
  state.main_left.store(0, std::memory_order_relaxed);
  state.main_watched.store(0, std::memory_order_relaxed);
}

}  // namespace heddle::detail
