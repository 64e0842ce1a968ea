// SPDX-License-Identifier: BSL-1.0
#include "scavenger_thread.hpp"

#include <csignal>
#include <ctime>

#include "heddle/detail/own_thread.hpp"
#include "mcache.hpp"
#include "options.hpp"
#include "os.hpp"
#include "process.hpp"
#include "scavenger.hpp"

namespace heddle::detail {

constinit scavenger_thread the_scavenger_thread;

namespace {

constexpr std::size_t stack_bytes = std::size_t{128} << 10;  // beside thread-local variables
constexpr std::size_t most_stack_bytes = std::size_t{1} << 30;
constexpr std::size_t stack_grain = std::size_t{16} << 10;

timespec tenth_of_a_second_from_now() noexcept {
  timespec t{};
  ::clock_gettime(CLOCK_REALTIME, &t);
  t.tv_nsec += 100'000'000;
  if (t.tv_nsec >= 1'000'000'000) t.tv_nsec -= 1'000'000'000, ++t.tv_sec;
  return t;
}

void* run(void* number) noexcept {
  ::pthread_setname_np(::pthread_self(), "heddle-scavenge");
  the_scavenger.work_in_background(static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(number)));
  return nullptr;
}

}  // namespace

// --- threads of the program ------------------------------------------------------------------------------------------

void scavenger_thread::thread_came() noexcept {
  // This is a new thread, so the filters of this moment allow new threads.
  if (own_threads_.fetch_add(1, std::memory_order_relaxed) == 0) return;
  if (knows_filters_.exchange(true, std::memory_order_relaxed)) return;
  filters_.store(process::filters(), std::memory_order_relaxed);
}

void scavenger_thread::thread_left() noexcept {
  // A thread that was counted before a fork is not counted in the child, and may end there.
  std::uint32_t n = own_threads();
  while (n != 0 && !own_threads_.compare_exchange_weak(n, n - 1, std::memory_order_relaxed)) {
  }
  if (n > 2) return;
  stop();
  // The thread that is left, if there is one, may never leave the short paths by itself.
  if (the_scavenger.waits()) the_mcache_pool.knock();
}

own_thread::own_thread() noexcept { the_scavenger_thread.thread_came(); }
own_thread::~own_thread() { the_scavenger_thread.thread_left(); }

// --- from none to running and back -----------------------------------------------------------------------------------

bool scavenger_thread::change(std::uint32_t from) noexcept {
  // acquire: so that `thread_` is that of the state; release halves where `running` and `none` are written.
  return state_.compare_exchange_strong(from, changing, std::memory_order_acquire, std::memory_order_relaxed);
}

/// A program that has come under further filters since it made threads may be killed by them for the next.
bool scavenger_thread::is_allowed() const noexcept {
  const process::call_filters now = process::filters();
  return now == process::no_filters ||
         (now != process::unknown_filters && now == filters_.load(std::memory_order_relaxed));
}

bool scavenger_thread::may_start(nanoseconds_t now) const noexcept {
  return own_threads() >= 2 && the_options.scavenger == scavenging::background &&
         now >= refused_until_.load(std::memory_order_relaxed);
}

bool scavenger_thread::start(const void* caller, nanoseconds_t now) noexcept {
  if (!may_start(now) || os::in_loader(caller) || !change(none)) return false;
  const bool made = is_allowed() && create();
  if (!made) refused_until_.store(now + nanoseconds_t{the_options.pace_ms} * 1'000'000, std::memory_order_relaxed);
  // release: so that the thread that ends it sees `thread_`; acquire half in change().
  state_.store(made ? running : none, std::memory_order_release);
  if (made && own_threads() < 2) stop();  // the others have ended meanwhile and saw none that runs
  return made;
}

bool scavenger_thread::create() noexcept {
  const os::errno_kept keep;
  void* const number = reinterpret_cast<void*>(std::uintptr_t{number_.load(std::memory_order_relaxed)});
  pthread_attr_t attributes;
  ::pthread_attr_init(&attributes);
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  // glibc has thread-local variables on the stack, and says EINVAL if they leave nothing of it.
  int error = EINVAL;
  std::size_t bytes = (stack_bytes + process::thread_locals() + stack_grain - 1) / stack_grain * stack_grain;
  for (; error == EINVAL && bytes <= most_stack_bytes; bytes *= 4) {
    ::pthread_attr_setstacksize(&attributes, bytes);
    error = ::pthread_create(&thread_, &attributes, run, number);
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ::pthread_attr_destroy(&attributes);
  if (error == 0) process::make_normal(thread_);
  return error == 0;
}

/// Has it end, and waits for that if it runs.
void scavenger_thread::stop() noexcept {
  const os::errno_kept keep;
  if (!change(running)) return;
  number_.fetch_add(1, std::memory_order_relaxed);
  platform::futex_wake(number_, 1);
  // A step of it takes a few milliseconds. If it gets no processor it shall not keep the program waiting.
  const timespec limit = tenth_of_a_second_from_now();
  if (::pthread_timedjoin_np(thread_, nullptr, &limit) != 0) ::pthread_detach(thread_);
  // release: so that the starter of the next sees that this one is gone; acquire half in change().
  state_.store(none, std::memory_order_release);
}

// --- for the thread itself -------------------------------------------------------------------------------------------

bool scavenger_thread::sleep(std::uint32_t number, nanoseconds_t until) noexcept {
  while (!shall_end(number) && platform::now() < until) platform::futex_wait(number_, number, until);
  return !shall_end(number);
}

void scavenger_thread::retire(std::uint32_t number) noexcept {
  while (!change(running)) {
    if (shall_end(number)) return;  // the thread that ends it joins it
    platform::yield_thread();       // it is being started still
  }
  if (shall_end(number)) {  // it was late, and another runs by now
    // release: `thread_` is as it was.
    state_.store(running, std::memory_order_release);
    return;
  }
  number_.fetch_add(1, std::memory_order_relaxed);
  ::pthread_detach(::pthread_self());
  // release: so that the starter of the next sees this one's work; acquire half in change().
  state_.store(none, std::memory_order_release);
}

void scavenger_thread::forked(bool caller_has_cache) noexcept {
  own_threads_.store(caller_has_cache ? 1 : 0, std::memory_order_relaxed);
  state_.store(none, std::memory_order_relaxed);
}

}  // namespace heddle::detail
