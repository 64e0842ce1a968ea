// SPDX-License-Identifier: BSL-1.0
//
// After the thread-locals are gone: destructors of threads, keys and the process allocate and free in every order.
// (jemalloc#2351, gperftools#1080: row 23.)
#define BOOST_TEST_MODULE shim_late
#include <pthread.h>

#include <thread>

#include "shim/shim.hpp"

using namespace heddle::testing;

namespace {

/// Frees what it holds and holds something new: also a block that was made before the thread's last one was freed.
void exchange(void*& block) {
  insist(!block || holds(block, 300), "a block lost its bytes");
  std::free(block);
  block = opaque(std::malloc(300));
  insist(block, "no block");
  fill(block, 300);
  std::free(opaque(std::calloc(10, 5000)));
}

struct farewell {
  void* block = nullptr;
  farewell() { exchange(block); }
  ~farewell() {
    for (int i = 0; i != 10; ++i) exchange(block);
    std::free(block);
  }
  void touch() { exchange(block); }
};

thread_local farewell first_local;
thread_local farewell second_local;

/// A key whose destructor sets it again as often as POSIX lets it.
struct stubborn {
  int rounds = PTHREAD_DESTRUCTOR_ITERATIONS - 1;
  void* block = nullptr;
};
pthread_key_t early_key, late_key;

void leave(pthread_key_t key, void* value) {
  auto* s = static_cast<stubborn*>(value);
  exchange(s->block);
  if (s->rounds-- > 0) {
    ::pthread_setspecific(key, s);
  } else {
    std::free(s->block);
    std::free(s);
  }
}

void set(pthread_key_t key) { ::pthread_setspecific(key, ::new (std::malloc(sizeof(stubborn))) stubborn); }

/// What a thread sets up, in the order that the bits say; each is torn down at its end.
void live(unsigned order) {
  if (order & 1) set(early_key);
  if (order & 2) first_local.touch();
  if (order & 4) second_local.touch();
  if (order & 8) set(late_key);
  std::free(opaque(std::malloc(1000)));
  if (!(order & 2)) first_local.touch();
  if (!(order & 1)) set(early_key);
  if (!(order & 8)) set(late_key);
}

void threads_of_every_order() {
  for (unsigned order = 0; order != 16; ++order) std::thread(live, order).join();
}

struct key_before_any_malloc {
  key_before_any_malloc() {
    ::pthread_key_create(&early_key, [](void* p) { leave(early_key, p); });
  }
};
__attribute__((init_priority(101))) key_before_any_malloc creator;

/// A process that ends while destructors and other threads allocate; the last handler says that all went well.
[[noreturn]] void end_process(void (*end)(int)) {
  static void* at_exit_block;
  const auto handler = [] {
    exchange(at_exit_block);
    std::thread(live, 15u).join();
  };
  std::atexit([] { ::_exit(7); });  // runs last
  std::atexit(handler);
  std::at_quick_exit([] { ::_exit(7); });
  std::at_quick_exit(handler);
  live(5);
  for (int i = 0; i != 4; ++i)
    std::thread([i] {
      dice d(static_cast<std::uint64_t>(i));
      for (void* block = nullptr;;) exchange(block), std::free(opaque(std::malloc(some_size(d, 20))));
    }).detach();
  ::usleep(1000);
  end(1);
  ::_exit(2);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(late)

BOOST_AUTO_TEST_CASE(destructors_of_threads_in_every_order) {
  ::pthread_key_create(&late_key, [](void* p) { leave(late_key, p); });
  threads_of_every_order();
  const std::size_t before = resident_bytes();
  for (int i = 0; i != times(20, 100); ++i) threads_of_every_order();
  BOOST_TEST(resident_bytes() < before + 16 * MiB);
}

BOOST_AUTO_TEST_CASE(destructors_of_the_process_while_threads_allocate) {
  for (auto* end : {&std::exit, &std::quick_exit})
    for (int i = 0; i != times(20, 100); ++i) {
      const death how = fate_of([&] { end_process(end); });
      BOOST_TEST_CONTEXT(how.text) BOOST_TEST((how.signal == 0 && how.status == 7));
    }
}

BOOST_AUTO_TEST_SUITE_END()
