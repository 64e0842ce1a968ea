// SPDX-License-Identifier: BSL-1.0
#include "signal_handlers.hpp"

#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <mutex>
#include <string>

#include "heddle/detail/thread_mutex.hpp"
#include "heddle/io/error.hpp"

namespace heddle::io::detail {
namespace {

using heddle::detail::lock_rank;
using heddle::detail::thread_lock;
using heddle::detail::thread_mutex;

/// The process's handling of a signal that somebody wants.
struct action {
  unsigned subscribers = 0;
  struct sigaction before {};
};

constinit thread_mutex table_lock{lock_rank::registry};
std::array<action, most_signals + 1> actions HEDDLE_GUARDED_BY(table_lock);
constinit std::atomic<subscription*> subscriptions{nullptr};

void notify(subscription& s, signal_set signal) noexcept {
  if ((s.wanted.load(std::memory_order_relaxed) & signal) == 0) return;
  // seq_cst, both: a handler that is not counted yet sees `wanted` cleared; other half in clear().
  s.writers.fetch_add(1, std::memory_order_seq_cst);
  if ((s.wanted.load(std::memory_order_seq_cst) & signal) != 0 &&
      s.process.load(std::memory_order_relaxed) == ::getpid()) {
    s.pending.fetch_or(signal, std::memory_order_relaxed);  // the system call orders it before its reader's look
    const std::uint64_t one = 1;
    // Not write(), which the program may have replaced. Full means that nobody has read for very long: that will do.
    (void)::syscall(SYS_write, s.event.load(std::memory_order_relaxed), &one, sizeof one);
  }
  // release: so that the event counter is closed after its use; acquire half in clear().
  s.writers.fetch_sub(1, std::memory_order_release);
}

extern "C" void heddle_note_signal(int number) {
  const int error = errno;
  // acquire: so that a subscription is seen as it was made; release half in free_subscription().
  for (subscription* s = subscriptions.load(std::memory_order_acquire); s != nullptr; s = s->next)
    notify(*s, bit_of(number));
  errno = error;
}

bool is_ours(const struct sigaction& a) noexcept {
  return (a.sa_flags & SA_SIGINFO) == 0 && a.sa_handler == heddle_note_signal;
}

/// False with errno: the system does not let us.
bool begin_to_handle(int number) noexcept HEDDLE_REQUIRES(table_lock) {
  action& a = actions[static_cast<std::size_t>(number)];
  if (a.subscribers == 0) {
    struct sigaction ours {};
    ours.sa_handler = heddle_note_signal;
    ours.sa_flags = SA_ONSTACK | SA_RESTART;
    ::sigemptyset(&ours.sa_mask);
    if (::sigaction(number, &ours, &a.before) != 0) return false;
  }
  ++a.subscribers;
  return true;
}

void end_to_handle(int number) noexcept HEDDLE_REQUIRES(table_lock) {
  action& a = actions[static_cast<std::size_t>(number)];
  if (--a.subscribers != 0) return;
  struct sigaction now {};
  if (::sigaction(number, nullptr, &now) == 0 && is_ours(now)) ::sigaction(number, &a.before, nullptr);
}

int lowest(signal_set s) noexcept { return std::countr_zero(s) + 1; }

void end_to_handle_all(signal_set all) noexcept HEDDLE_REQUIRES(table_lock) {
  for (; all != 0; all &= all - 1) end_to_handle(lowest(all));
}

subscription& free_subscription() HEDDLE_REQUIRES(table_lock) {
  for (subscription* s = subscriptions.load(std::memory_order_relaxed); s != nullptr; s = s->next)
    if (!s->in_use) return *s;
  auto* const s = new subscription;
  s->next = subscriptions.load(std::memory_order_relaxed);
  subscriptions.store(
      s, std::memory_order_release);  // release: so that handlers see it whole; acquire half in heddle_note_signal()
  return *s;
}

/// The signals that s wanted. When it returns no handler uses s.
signal_set clear(subscription& s) noexcept {
  const signal_set wanted = s.wanted.exchange(0, std::memory_order_seq_cst);  // seq_cst: before the look at `writers`
  // seq_cst: as above, and acquire: so that handlers have done with the event counter; other half in notify().
  while (s.writers.load(std::memory_order_seq_cst) != 0) ::sched_yield();
  return wanted;
}

}  // namespace

subscription& subscribe(signal_set wanted, int event) {
  const thread_lock hold(table_lock);
  subscription& s = free_subscription();
  signal_set handled = 0;
  s.event.store(event, std::memory_order_relaxed);
  s.process.store(::getpid(), std::memory_order_relaxed);
  s.pending.store(0, std::memory_order_relaxed);
  // release: so that handlers see the event counter; acquire half, of seq_cst, in notify(). Before the handlers are
  // there: what comes first is not lost.
  s.wanted.store(wanted, std::memory_order_release);
  for (signal_set left = wanted; left != 0; left &= left - 1) {
    const int number = lowest(left);
    if (begin_to_handle(number)) {
      handled |= bit_of(number);
      continue;
    }
    const std::error_code why(errno, std::system_category());
    end_to_handle_all(handled);
    clear(s);
    throw error(why, "receive signal " + std::to_string(number));
  }
  s.in_use = true;
  return s;
}

void unsubscribe(subscription& s) noexcept {
  const thread_lock hold(table_lock);
  end_to_handle_all(clear(s));
  s.in_use = false;
}

}  // namespace heddle::io::detail
