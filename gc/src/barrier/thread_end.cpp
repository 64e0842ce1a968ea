// SPDX-License-Identifier: BSL-1.0
//
// The thread-locals of the barrier, and when their threads end.
#include "barrier/thread_end.hpp"

#include <pthread.h>

#include "barrier/words.hpp"

constinit thread_local heddle::gc::detail::mutator_state heddle_gc_words;

namespace heddle::gc::detail {

constinit thread_local mutator* mutator_of_thread = nullptr;

void at_thread_end(void (*end)(void*), void* argument) noexcept {
  static const pthread_key_t key = [end] {
    pthread_key_t k{};
    if (::pthread_key_create(&k, end) != 0) end_without_memory("learn of the ends of threads");
    return k;
  }();
  if (::pthread_setspecific(key, argument) != 0) end_without_memory("serve another thread");
}

}  // namespace heddle::gc::detail
