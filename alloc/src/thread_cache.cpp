// SPDX-License-Identifier: BSL-1.0
#include "thread_cache.hpp"

#include <pthread.h>

#include <utility>

#include "collected_spans.hpp"
#include "hardened.hpp"
#include "heap_profile.hpp"
#include "mcentral.hpp"
#include "options.hpp"
#include "os.hpp"
#include "scavenger.hpp"

namespace heddle::detail {

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
  the_mcache_pool.give(*static_cast<mcache*>(cache));
  for (mcache*& c : collected_mcaches)
    if (c != nullptr) the_mcache_pool.give(*std::exchange(c, nullptr));
}

/// The key whose destructor tells of the end of a thread; where there is none to be had, the caches of threads that end
/// are lost.
pthread_key_t end_of_thread = 0;

enum setup : int { not_begun, in_progress, done };
constinit atomic<int> setup_state{not_begun};

// Around a fork all locks are held, so that the child finds what they guard as it should be. The caches of the threads
// that it has not got stay as they are: nobody can tell in the middle of what those were.
void before_fork() noexcept HEDDLE_NO_THREAD_SAFETY_ANALYSIS {
  hardened::lock_all();
  the_mcache_pool.lock().lock();
  for (std::size_t c = 0; c != span_class_count; ++c)
    if (the_mcache_pool.serves(kind_of(c))) the_mcentrals[c].lock().lock();
  the_collected_spans.lock().lock();
  the_profile.lock().lock();
  the_mheap.lock().lock();
}
void after_fork() noexcept HEDDLE_NO_THREAD_SAFETY_ANALYSIS {
  the_mheap.lock().unlock();
  the_profile.lock().unlock();
  the_collected_spans.lock().unlock();
  for (std::size_t c = span_class_count; c-- != 0;)
    if (the_mcache_pool.serves(kind_of(c))) the_mcentrals[c].lock().unlock();
  the_mcache_pool.lock().unlock();
  hardened::unlock_all();
}
void after_fork_in_child() noexcept {
  after_fork();
  the_scavenger.forked();
}

}  // namespace

bool set_up_process() noexcept {
  // Once; false while another thread is at it. What it calls may allocate.
  int state = not_begun;
  // acquire, release: so that who sees `done` sees the key.
  if (setup_state.compare_exchange_strong(state, in_progress, std::memory_order_acquire, std::memory_order_acquire)) {
    const bool made = ::pthread_key_create(&end_of_thread, detach_thread) == 0;
    if (made) ::pthread_atfork(before_fork, after_fork, after_fork_in_child);
    setup_state.store(made ? done : not_begun, std::memory_order_release);
    return made;
  }
  return state == done;
}

mcache* attach_thread() noexcept {
  if (ending) return nullptr;
  const os::errno_kept keep;  // what is called here may fail for want of memory
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
