// SPDX-License-Identifier: BSL-1.0
#include "roots/suspension.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "barrier/waits.hpp"
#include "barrier/words.hpp"
#include "heddle/detail/fake_frames.hpp"
#include "heddle/detail/platform.hpp"

namespace heddle::gc::detail {

namespace platform = heddle::detail::platform;

constinit std::atomic<suspension*> suspension::all_{nullptr};

namespace {

constexpr platform::nanoseconds_t second = 1'000'000'000;
constexpr platform::nanoseconds_t patience = 3 * second;  // then it is said that a thread does not answer

// ThreadSanitizer keeps a signal back until the thread comes to its next atomic operation or call of the C library. It
// calls the handler there, on the stack that the thread is on, with the registers of the moment when the signal came.
// So:
// - The stack is scanned from below the handler's own frame, in which the registers of its callers are.
// - A thread that sleeps in a system call of heddle's own must come out of it: SA_RESTART is not set.
// - The signal may be kept for a fiber that has been left meanwhile: it is sent again while no answer comes.
#ifdef HEDDLE_TSAN
constexpr int handler_flags = SA_SIGINFO;
constexpr platform::nanoseconds_t until_asked_again = second / 1000;
constexpr bool is_sent_again = true;

[[gnu::noinline]] std::uintptr_t below_caller() noexcept {
  return reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
}
#else
constexpr int handler_flags = SA_RESTART | SA_ONSTACK | SA_SIGINFO;
constexpr platform::nanoseconds_t until_asked_again = second / 4;
constexpr bool is_sent_again = false;
#endif

void complain(int thread) noexcept {
  static std::atomic<bool> said{false};
  if (said.exchange(true, std::memory_order_relaxed)) return;
  std::fprintf(stderr,
               "heddle: thread %d does not answer the collector's signal %d: it has blocked it; the collection waits "
               "(said once)\n",
               thread, suspension::signal_number());
}

/// False: there is no such thread. 0 is no signal.
bool send(int thread, int signal) noexcept { return ::syscall(SYS_tgkill, ::getpid(), thread, signal) == 0; }

}  // namespace

// --- the thread that is stopped --------------------------------------------------------------------------------

void suspension::handle(int, siginfo_t*, void* context) noexcept {
  const int error = errno;
  const int self = ::gettid();
  // acquire, all: so that a suspension is seen as listed, and a request with its thread; release halves in list() and
  // stop().
  for (suspension* s = all_.load(std::memory_order_acquire); s != nullptr; s = s->next_) {
    const std::uint32_t word = s->word_.load(std::memory_order_acquire);
    if (word % phases == asked && s->thread() == self) s->meet(*static_cast<ucontext_t*>(context), word);
  }
  errno = error;
}

void suspension::meet(ucontext_t& context, std::uint32_t asked_word) noexcept {
  const std::uint32_t request = asked_word - asked;
  registers_ = &context;
#ifdef HEDDLE_TSAN
  __builtin_unwind_init();  // has the registers of callers be stored in this frame
  stack_pointer_ = below_caller() & ~std::uintptr_t{15};
#else
  stack_pointer_ = static_cast<std::uintptr_t>(context.uc_mcontext.gregs[REG_RSP]);
#endif
  fake_stack_ = heddle::detail::current_fake_stack();
  found_ = {heddle::detail::interrupted_kind::busy, nullptr, nullptr};
  if (!in_critical()) found_ = heddle::detail::what_is_interrupted(stack_pointer());
  const bool stays = found_.kind != heddle::detail::interrupted_kind::busy;
  const platform::nanoseconds_t since = platform::now();
  // release: so that found_ is seen, and all that the thread did before; acquire half in stop().
  word_.store(request + (stays ? stopped : busy), std::memory_order_release);
  platform::futex_wake(word_, 1);
  // acquire: so that the thread changes its stack after the scan has read it; release half in release().
  while (word_.load(std::memory_order_acquire) == request + stopped) platform::futex_wait(word_, request + stopped);
  if (stays) the_waits[static_cast<std::size_t>(wait_cause::scan)].add(platform::now() - since);
}

// --- the collector ---------------------------------------------------------------------------------------------

int suspension::take_signal() noexcept {
  struct sigaction ours {};
  ours.sa_sigaction = handle;
  ours.sa_flags = handler_flags;
  ::sigfillset(&ours.sa_mask);
  for (const int fault : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT}) ::sigdelset(&ours.sa_mask, fault);
  for (int number = SIGRTMAX - 2; number >= SIGRTMIN; --number) {
    struct sigaction now {};
    if (::sigaction(number, nullptr, &now) != 0 || now.sa_handler != SIG_DFL) continue;
    if (::sigaction(number, &ours, nullptr) == 0) return number;
  }
  std::fputs(
      "heddle: the collector needs a real-time signal that nobody handles, and there is none: the stacks of "
      "running threads cannot be scanned\n",
      stderr);
  std::abort();
}

int suspension::signal_number() noexcept {
  static const int number = take_signal();
  return number;
}

void suspension::list() noexcept {
  if (listed_) return;
  listed_ = true;
  next_ = all_.load(std::memory_order_relaxed);
  all_.store(this, std::memory_order_release);  // release: so that a handler sees it whole; acquire half there
}

answer suspension::stop(int thread) noexcept {
  list();
  const std::uint32_t request = word_.load(std::memory_order_relaxed) / phases * phases + phases;
  thread_.store(thread, std::memory_order_relaxed);
  word_.store(request + asked,
              std::memory_order_release);  // release: so that the thread is seen; acquire half in handle()
  const bool sent = send(thread, signal_number());
  const platform::nanoseconds_t since = platform::now();
  bool there = sent;
  // acquire: so that found_ is seen; release half in meet().
  while (there && word_.load(std::memory_order_acquire) == request + asked) {
    platform::futex_wait(word_, request + asked, platform::now() + until_asked_again);
    there = send(thread, is_sent_again ? signal_number() : 0);
    if (platform::now() - since > patience) complain(thread);
  }
  switch (word_.load(std::memory_order_acquire) % phases) {  // acquire: as above
    case stopped: return answer::stopped;
    case busy: return answer::busy;
    default: word_.store(request, std::memory_order_relaxed); return answer::gone;
  }
}

void suspension::release() noexcept {
  const std::uint32_t now = word_.load(std::memory_order_relaxed);
  // release: so that the thread changes its stack after it has been read; acquire half in meet().
  word_.store(now - now % phases, std::memory_order_release);
  platform::futex_wake(word_, 1);
}

}  // namespace heddle::gc::detail
