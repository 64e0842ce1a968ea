// SPDX-License-Identifier: BSL-1.0
#include "thread_cache.hpp"

#include <pthread.h>
#include <sys/single_threaded.h>

#include <utility>

#include "at_work.hpp"
#include "blocks.hpp"
#include "collected_spans.hpp"
#include "hardened.hpp"
#include "heap_profile.hpp"
#include "mcentral.hpp"
#include "options.hpp"
#include "os.hpp"
#include "reserve_blocks.hpp"
#include "scavenger.hpp"
#include "scavenger_thread.hpp"

// glibc's lock of its list of files: recursive; fork() takes it behind all handlers if there are threads.
extern "C" {
[[gnu::weak]] void _IO_list_lock();
[[gnu::weak]] void _IO_list_unlock();
[[gnu::weak]] void _IO_list_resetlock();
}

namespace heddle::detail {

constinit thread_local std::uint32_t guest_calls = 0;

constinit span nobodys_span{};
constinit mcache nobodys_mcache{&nobodys_span};
constinit thread_local mcache* this_mcache = &nobodys_mcache;
constinit thread_local std::array<mcache*, span_kinds - 1> collected_mcaches{};

namespace {

/// The thread's cache if the short paths shall not see it, so that every call takes the long one.
constinit thread_local mcache* hidden_mcache = nullptr;

/// The thread's cache has been taken back once: destructors that run later borrow one for each call.
constinit thread_local bool ending = false;

void detach_thread(void* cache) noexcept {
  ending = true;
  this_mcache = &nobodys_mcache;
  hidden_mcache = nullptr;
  if (const at_work here; here) {  // else the blocks of the caches are lost
    the_mcache_pool.give(*static_cast<mcache*>(cache));
    for (mcache*& c : collected_mcaches)
      if (c != nullptr) the_mcache_pool.give(*std::exchange(c, nullptr));
  }
  the_scavenger_thread.thread_left();
}

/// The key whose destructor tells of the end of a thread; where there is none to be had, the caches of threads that end
/// are lost.
pthread_key_t end_of_thread = 0;

enum setup : int { not_begun, in_progress, done };
constinit atomic<int> setup_state{not_begun};
constinit bool forks_are_heeded = false;  // of the thread that is at it

/// Whether fork() has others wait for stdio before it closes the gate, and whether it does so now.
constinit bool forks_take_stdio_lock = false;
constinit bool holds_stdio_lock = false;

/// Work that the thread that forks has begun, before a signal's handler: left alone.
constinit bool fork_within_fork = false;

template <class F>
void for_each_mark(F f) noexcept {
  the_mcache_pool.for_each_mutable([&f](mcache& c) { f(c.work); });
}

// Around a fork nobody is at work (see fork_gate), so the shared parts are complete in the child. The caches of threads
// that the child has not got stay as they are: those threads may have been in the middle of anything.
void before_fork() noexcept {
  const bool takes = forks_take_stdio_lock && _IO_list_lock != nullptr && !__libc_single_threaded;
  const fork_gate::mark* const own = this_mcache != &nobodys_mcache ? &this_mcache->work : nullptr;
  const std::uint32_t own_guests = guest_calls != 0 ? 1 : 0;
  const fork_gate::approach waits(the_fork_gate, own, own_guests);  // for stdio too: the thread that forks may hold it
  if (takes) _IO_list_lock();
  if (!the_fork_gate.close(at_work::self(), own, own_guests, [](auto f) { for_each_mark(f); })) {
    if (takes) _IO_list_unlock();
    fork_within_fork = true;
    return;
  }
  holds_stdio_lock = takes;
}

void after_fork() noexcept {
  if (std::exchange(fork_within_fork, false)) return;
  const bool held = std::exchange(holds_stdio_lock, false);  // before the next fork writes it
  the_fork_gate.open();
  if (held) _IO_list_unlock();
  blocks::free_deferred_blocks();
}

/// Frees locks that other threads held while they only looked, or this one in a call that a signal has interrupted.
void free_all_locks() noexcept {
  the_mheap.lock().become_free();
  the_profile.lock().become_free();
  the_collected_spans.lock().become_free();
  for (mcentral& c : the_mcentrals) c.lock().become_free();
  the_mcache_pool.lock().become_free();
  hardened::free_locks();
}

void after_fork_in_child() noexcept {
  free_all_locks();
  the_reserve_blocks.forked();
  const fork_gate::mark* const own = &this_mcache->work;
  for_each_mark([own](fork_gate::mark& m) {
    if (&m != own) m.store(0, std::memory_order_relaxed);
  });
  if (std::exchange(holds_stdio_lock, false)) _IO_list_resetlock();
  if (!std::exchange(fork_within_fork, false)) the_fork_gate.open_in_child(guest_calls != 0 ? 1 : 0);
  the_scavenger.forked();
  the_scavenger_thread.forked(this_mcache != &nobodys_mcache || hidden_mcache != nullptr);
}

}  // namespace

void take_stdio_lock_at_forks() noexcept { forks_take_stdio_lock = true; }

bool set_up_process() noexcept {
  // acquire: so that the key is seen; release half below.
  int state = setup_state.load(std::memory_order_acquire);
  if (state != not_begun) return state == done;
  // Once; false while another thread is at it. Its calls may allocate. acquire: as above.
  if (!setup_state.compare_exchange_strong(state, in_progress, std::memory_order_acquire, std::memory_order_acquire))
    return state == done;
  // Forks first: they are heeded even if there is no key to be had.
  if (!forks_are_heeded) forks_are_heeded = ::pthread_atfork(before_fork, after_fork, after_fork_in_child) == 0;
  const bool made = forks_are_heeded && ::pthread_key_create(&end_of_thread, detach_thread) == 0;
  // release: so that a thread that sees `done` sees the key; acquire halves above.
  setup_state.store(made ? done : not_begun, std::memory_order_release);
  return made;
}

void heed_forks_of_heap() noexcept {
  while (!set_up_process() && setup_state.load(std::memory_order_relaxed) == in_progress) platform::yield_thread();
}

mcache* attach_thread() noexcept {
  if (ending) return nullptr;
  const os::errno_kept keep;  // the calls below may fail for want of memory
  if (hidden_mcache != nullptr) return hidden_mcache;
  if (the_extras() == call_extras::unread) read_options();
  mcache* const c = the_mcache_pool.take();
  if (c == nullptr) return nullptr;
  (the_extras() == call_extras::none ? this_mcache : hidden_mcache) = c;  // pthread_setspecific() may allocate
  if (!set_up_process() || ::pthread_setspecific(end_of_thread, c) != 0) {
    this_mcache = &nobodys_mcache;
    hidden_mcache = nullptr;
    the_mcache_pool.give(*c);
    return nullptr;
  }
  the_scavenger_thread.thread_came();
  return c;
}

mcache* attach_thread(span_kind kind) noexcept {
  mcache*& c = collected_mcaches[static_cast<std::size_t>(kind) - 1];
  if (c != nullptr) return c;
  // With the cache for malloc() comes word of the thread's end.
  if (this_mcache == &nobodys_mcache && attach_thread() == nullptr) return nullptr;
  return c = the_mcache_pool.take(kind);
}

}  // namespace heddle::detail
