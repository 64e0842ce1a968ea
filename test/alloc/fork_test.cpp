// SPDX-License-Identifier: BSL-1.0
//
// fork() while other threads work on the heap, and need it before they free locks for which fork() waits. A handler
// that was registered before the library's own runs behind that one; here it stands for locks that libc takes as late.
#include <pthread.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <csignal>
#include <functional>
#include <thread>
#include <vector>

#include "heddle/alloc.hpp"
#include "support/leak_check.hpp"

namespace {

namespace alloc = heddle::alloc;
constexpr std::size_t kib = 1024, mib = 1024 * kib;

std::function<void()> behind_the_library;
void run_behind() {
  if (behind_the_library) behind_the_library();
}
/// Before anybody has asked heddle for a block.
const int registered = ::pthread_atfork(run_behind, nullptr, nullptr);

struct behind {
  explicit behind(std::function<void()> f) { behind_the_library = std::move(f); }
  ~behind() { behind_the_library = nullptr; }
};

/// Writes one byte a page, and the last byte.
template <class F>
bool each_page(std::size_t n, F f) {
  for (std::size_t i = 0; i < n; i += 4 * kib)
    if (!f(i)) return false;
  return f(n - 1);
}

char* filled(std::size_t n, char c) {
  auto* const p = static_cast<char*>(alloc::allocate(n));
  each_page(n, [&](std::size_t i) {
    p[i] = c;
    return true;
  });
  return p;
}

bool holds(const char* p, std::size_t n, char c) {
  return each_page(n, [&](std::size_t i) { return p[i] == c; });
}

constexpr std::size_t sizes[] = {1, 100, 1'000, 9'000, 100'000, 1'500'000, 34'000'000};

/// Makes every kind of call that a thread may make.
void use_everything() {
  std::vector<char*> many(600);
  for (std::size_t n : sizes) {
    const std::size_t count = n < 10'000 ? many.size() : 2;
    for (std::size_t i = 0; i != count; ++i) many[i] = filled(n, 'a');
    for (std::size_t i = 0; i != count; ++i) {
      BOOST_REQUIRE(alloc::usable_size(many[i]) >= n);
      BOOST_REQUIRE(holds(many[i], n, 'a'));
      many[i] = static_cast<char*>(alloc::reallocate(many[i], 2 * n));
      BOOST_REQUIRE(holds(many[i], n, 'a'));
      alloc::deallocate(many[i]);
    }
    for (std::size_t alignment : {64, 4'096, 65'536}) {
      void* const p = alloc::allocate(n, std::align_val_t{alignment});
      BOOST_REQUIRE(reinterpret_cast<std::uintptr_t>(p) % alignment == 0);
      alloc::deallocate(p, n, std::align_val_t{alignment});
    }
    auto* const zeroed = static_cast<char*>(alloc::allocate_zeroed(n));
    BOOST_REQUIRE(holds(zeroed, n, 0));
    alloc::deallocate(zeroed, n);
  }
}

/// Forks; the child uses the heap. Returns whether that went well.
bool fork_goes_well() {
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(60);
    use_everything();
    std::thread(use_everything).join();
    ::_exit(0);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  return status == 0;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(forking, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(fork_waits_for_a_thread_that_wants_memory) {
  BOOST_REQUIRE(registered == 0);
  use_everything();
  behind b([] { std::thread(use_everything).join(); });
  BOOST_TEST(fork_goes_well());
  BOOST_TEST(fork_goes_well());
}

BOOST_AUTO_TEST_CASE(blocks_from_before_are_used_meanwhile_and_freed_later) {
  const std::size_t earlier = alloc::get_statistics().in_use();
  std::vector<std::pair<char*, std::size_t>> mine;
  for (std::size_t n : sizes)
    for (int i = 0; i != 4; ++i) mine.emplace_back(filled(n, 'm'), n);
  char* grown[std::size(sizes)];
  behind b([&] {
    std::thread([&] {
      for (std::size_t i = 0; i != mine.size(); ++i) {
        const auto [p, n] = mine[i];
        BOOST_REQUIRE(alloc::usable_size(p) >= n);
        if (i % 4 == 0) {
          grown[i / 4] = static_cast<char*>(alloc::reallocate(p, 3 * n));
          BOOST_REQUIRE(holds(grown[i / 4], n, 'm'));
        } else if (i % 4 == 1) {
          alloc::deallocate(p, n);
        } else {
          alloc::deallocate(p);
        }
      }
    }).join();
  });
  BOOST_TEST(fork_goes_well());
  behind_the_library = nullptr;
  for (std::size_t i = 0; i != std::size(sizes); ++i) {
    BOOST_TEST(holds(grown[i], sizes[i], 'm'));
    grown[i] = static_cast<char*>(alloc::reallocate(grown[i], 4 * sizes[i]));
    BOOST_TEST(holds(grown[i], sizes[i], 'm'));
    alloc::deallocate(grown[i]);
  }
  BOOST_TEST(alloc::get_statistics().in_use() == earlier);
}

/// As when the kernel takes long to copy the page tables of a large process.
BOOST_AUTO_TEST_CASE(a_thread_wants_as_many_blocks_as_it_likes_meanwhile) {
  std::size_t missing = 0, wrong = 0;
  behind b([&] {
    std::thread([&] {
      std::vector<char*> held;
      for (std::size_t n : {300 * kib, 40 * kib})
        for (int i = 0; i != 3'000; ++i) held.push_back(static_cast<char*>(alloc::allocate(n)));
      for (char* p : held) missing += p == nullptr;
      for (char* p : held)
        if (p != nullptr) *p = 'm';
      for (char* p : held) wrong += p != nullptr && *p != 'm';
      for (char* p : held) alloc::deallocate(p);
    }).join();
  });
  BOOST_TEST(fork_goes_well());
  BOOST_TEST(missing == 0);
  BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_CASE(several_threads_want_blocks_meanwhile) {
  std::atomic<std::size_t> missing{0};
  behind b([&] {
    std::vector<std::thread> threads;
    for (int t = 0; t != 20; ++t)
      threads.emplace_back([&] {
        std::vector<void*> held(100);
        for (int round = 0; round != 3; ++round) {
          for (void*& p : held) {
            p = alloc::allocate(40 * kib);
            missing += p == nullptr;
          }
          for (void* p : held) alloc::deallocate(p);
        }
      });
    for (auto& t : threads) t.join();
  });
  BOOST_TEST(fork_goes_well());
  BOOST_TEST(missing == 0);
}

// The sanitizers need memory of their own at any time.
#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
/// Free memory of the heap serves a thread after the fork, though the kernel has nothing for the reserve.
BOOST_AUTO_TEST_CASE(a_thread_waits_if_there_is_no_other_memory) {
  alloc::deallocate(filled(2 * mib, 'f'));
  std::atomic<bool> forking{false};
  void* got = nullptr;
  std::thread other([&] {
    while (!forking) std::this_thread::yield();
    got = alloc::allocate(1 * mib);
  });
  {
    behind b([&] {
      rlimit usual{};
      ::getrlimit(RLIMIT_AS, &usual);
      rlimit nothing = usual;
      nothing.rlim_cur = 4 * kib;
      ::setrlimit(RLIMIT_AS, &nothing);
      forking = true;
      std::this_thread::sleep_for(std::chrono::milliseconds(150));  // longer than a thread waits at first
      ::setrlimit(RLIMIT_AS, &usual);
    });
    BOOST_TEST(fork_goes_well());
  }
  other.join();
  BOOST_TEST(got != nullptr);
  alloc::deallocate(got);
}
#endif

BOOST_AUTO_TEST_CASE(the_thread_that_forks_allocates_in_a_handler) {
  behind b(use_everything);
  BOOST_TEST(fork_goes_well());
}

#ifndef __SANITIZE_THREAD__  // it allows no thread in a child of several
BOOST_AUTO_TEST_CASE(threads_that_allocate_and_fork_at_the_same_time) {
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int t = 0; t != 2; ++t)
    threads.emplace_back([&] {
      while (!stop) use_everything();
    });
  std::atomic<int> failed{0};
  for (int t = 0; t != 2; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i != 2; ++i) failed += !fork_goes_well();
    });
  for (std::size_t t = 2; t != threads.size(); ++t) threads[t].join();
  stop = true;
  for (std::size_t t = 0; t != 2; ++t) threads[t].join();
  BOOST_TEST(failed == 0);
}
#endif

namespace {

std::atomic<int> forks{0}, bad{0};

void fork_in_handler(int) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  int status = -1;
  ::waitpid(child, &status, 0);
  bad += status != 0;
  ++forks;
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_handler_forks_in_the_middle_of_calls) {
  struct sigaction action {
  }, earlier{};
  action.sa_handler = fork_in_handler;
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGVTALRM, &action, &earlier);
  const itimerval often{{0, 1'000}, {0, 1'000}}, never{};
  ::setitimer(ITIMER_VIRTUAL, &often, nullptr);
  std::vector<void*> held(4'096);
  for (std::uint64_t r = 1; forks < 15;) {
    r = r * 6364136223846793005u + 1442695040888963407u;
    void*& p = held[r >> 52];
    alloc::deallocate(p);
    p = alloc::allocate((r >> 20) % 7 == 0 ? (r >> 32) % (2 * mib) : (r >> 32) % 3'000);
  }
  ::setitimer(ITIMER_VIRTUAL, &never, nullptr);
  ::sigaction(SIGVTALRM, &earlier, nullptr);
  for (void* p : held) alloc::deallocate(p);
  BOOST_TEST(bad == 0);
}

BOOST_AUTO_TEST_SUITE_END()
