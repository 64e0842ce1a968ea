// SPDX-License-Identifier: BSL-1.0
//
// Threads that come and go, and free what others allocated: nothing is lost with them. (mimalloc#204: row 22.)
#define BOOST_TEST_MODULE shim_threads
#include <pthread.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "shim/shim.hpp"

using namespace heddle::testing;

namespace {

constexpr int batch = 50;

std::atomic<void*> exchange_place[4096];

/// Puts blocks where others find them and frees what it finds; some of them outlive their thread.
void meet_others(unsigned seed) {
  dice d(seed);
  for (int i = 0; i != times(300, 2000); ++i) {
    const std::size_t n = some_size(d, d.below(100) ? 12 : 19);
    void* p = opaque(std::malloc(n));
    insist(p, "no block");
    std::memset(p, 1, n);
    std::free(exchange_place[d.below(std::size(exchange_place))].exchange(p));
  }
}

void batches(unsigned count) {
  for (unsigned b = 0; b != count; ++b) {
    std::vector<std::thread> threads;
    for (unsigned t = 0; t != batch; ++t) threads.emplace_back(meet_others, b * batch + t);
    for (auto& t : threads) t.join();
  }
}

/// A queue of blocks, so short that the producer cannot run far ahead.
class hand_over {
 public:
  void put(void* p) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return blocks_.size() < 10'000; });
    blocks_.push_back(p);
    changed_.notify_all();
  }
  void* take() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !blocks_.empty(); });
    void* p = blocks_.front();
    blocks_.pop_front();
    changed_.notify_all();
    return p;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<void*> blocks_;
};

/// A chain of blocks of n bytes; the way the producer sends many at once.
struct chain {
  chain* next;
};
chain* make_chain(std::size_t n, int length) {
  chain* head = nullptr;
  for (int i = 0; i != length; ++i) {
    auto* c = static_cast<chain*>(opaque(std::malloc(n)));
    std::memset(c, 1, n);
    c->next = head;
    head = c;
  }
  return head;
}
void free_chain(chain* c) {
  while (c) std::free(std::exchange(c, c->next));
}

nlink_t threads_there() {
  struct stat task {};
  insist(::stat("/proc/self/task", &task) == 0, "no /proc");
  return task.st_nlink - 2;
}
void wait_for_threads(nlink_t n) {
  while (threads_there() > n) ::usleep(1000);
}

std::atomic<bool> about_to_end{false};

/// Frees 16 MB, which is enough that an allocator may want to give some back in the background, and ends.
void* free_much_when_alone(void*) {
  wait_for_threads(2);
  void* large[40];
  for (void*& p : large) p = opaque(std::malloc(400'000));
  for (void* const p : large) std::free(p);
  about_to_end = true;
  return nullptr;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(threads)

/// glibc keeps 40 MB of stacks; it frees what belongs to others under the lock that guards them, in the thread that
/// ends. An allocator that makes a thread there waits for ever. The first test, so that there is no such thread yet.
BOOST_AUTO_TEST_CASE(a_stack_too_many) {
  for (int i = 0; i != 8; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::alarm(30);
      pthread_attr_t attributes;
      ::pthread_attr_init(&attributes);
      ::pthread_attr_setstacksize(&attributes, 64 * MiB);
      ::pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
      pthread_t one{}, two{};
      const auto shortly = [](void*) -> void* { return ::usleep(10'000), nullptr; };
      const bool made = ::pthread_create(&one, &attributes, free_much_when_alone, nullptr) == 0 &&
                        ::pthread_create(&two, &attributes, shortly, nullptr) == 0;
      while (!about_to_end) ::usleep(1000);
      ::usleep(20'000);
      ::pthread_attr_destroy(&attributes);
      pthread_t last{};  // needs the lock
      ::_exit(made && ::pthread_create(&last, nullptr, shortly, nullptr) == 0 ? 0 : 1);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    BOOST_TEST(status == 0);
  }
}

BOOST_AUTO_TEST_CASE(a_thousand_that_come_and_go) {
  batches(4);
  const std::size_t before = resident_bytes();
  batches(1000 / batch);
  const std::size_t after = resident_bytes();
  BOOST_TEST(after < before + 32 * MiB);
  for (auto& p : exchange_place) std::free(p.exchange(nullptr));
}

BOOST_AUTO_TEST_CASE(producer_and_consumer) {
  for (std::size_t n : {std::size_t{32}, std::size_t{500}, 9 * KiB, 100 * KiB}) {
    const int length = static_cast<int>(64 * KiB / n) + 1, rounds = times(1000, 10'000);
    const std::size_t before = resident_bytes();
    std::size_t peak = 0;
    hand_over queue;
    std::atomic<int> ahead{0};
    std::thread consumer([&] {
      for (int i = 0; i != rounds; ++i, --ahead) {
        free_chain(static_cast<chain*>(queue.take()));
        if (i % 100 == 0) peak = std::max(peak, resident_bytes());
      }
    });
    for (int i = 0; i != rounds; ++i) {
      while (ahead > 100) std::this_thread::yield();  // at most 10 MiB on their way
      ++ahead;
      queue.put(make_chain(n, length));
    }
    consumer.join();
    BOOST_TEST_CONTEXT("blocks of " << n) BOOST_TEST(peak < before + 64 * MiB);
  }
}

BOOST_AUTO_TEST_CASE(heirs_free_what_the_dead_left) {
  const auto generation = [] {
    std::vector<chain*> chains(20);
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t != chains.size(); ++t)
      threads.emplace_back([&chains, t] { chains[t] = make_chain(200, 5000); });
    for (auto& t : threads) t.join();
    for (chain* c : chains) free_chain(c);
  };
  for (int i = 0; i != 3; ++i) generation();
  const std::size_t before = resident_bytes();
  for (int i = 0; i != times(5, 30); ++i) generation();
  BOOST_TEST(resident_bytes() < before + 16 * MiB);
}

BOOST_AUTO_TEST_SUITE_END()
