// SPDX-License-Identifier: BSL-1.0
//
// fork() while other threads work on the heap, and need it before they free locks for which fork() waits. A handler
// that was registered before the library's own runs behind that one; here it stands for locks that libc takes as late.
#include <pthread.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <csignal>
#include <fstream>
#include <functional>
#include <new>
#include <thread>
#include <utility>
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

void fill(char* p, std::size_t n, char c) {
  each_page(n, [&](std::size_t i) {
    p[i] = c;
    return true;
  });
}

/// Null: no memory.
char* filled(std::size_t n, char c) {
  auto* const p = static_cast<char*>(alloc::allocate(n, std::nothrow));
  if (p != nullptr) fill(p, n, c);
  return p;
}

bool holds(const char* p, std::size_t n, char c) {
  return p != nullptr && each_page(n, [&](std::size_t i) { return p[i] == c; });
}

constexpr std::size_t sizes[] = {1, 100, 1'000, 9'000, 100'000, 1'500'000, 34'000'000};

/// Grown to twice its size, then freed. Whether it was right all the time.
bool use(char* p, std::size_t n) {
  if (!holds(p, n, 'a') || alloc::usable_size(p) < n) return false;
  p = static_cast<char*>(alloc::reallocate(p, 2 * n, std::nothrow));
  if (!holds(p, n, 'a') || alloc::usable_size(p) < 2 * n) return false;
  alloc::deallocate(p);
  return true;
}

bool use_aligned(std::size_t n, std::size_t alignment) {
  void* const p = alloc::allocate(n, std::align_val_t{alignment}, std::nothrow);
  if (p == nullptr || reinterpret_cast<std::uintptr_t>(p) % alignment != 0) return false;
  alloc::deallocate(p, n, std::align_val_t{alignment});
  return true;
}

bool use_zeroed(std::size_t n) {
  auto* const p = static_cast<char*>(alloc::allocate_zeroed(n, std::nothrow));
  if (!holds(p, n, 0)) return false;
  alloc::deallocate(p, n);
  return true;
}

/// Makes every kind of call that a thread may make. Returns the size for which something was wrong, or 0. No exception
/// and no message: another thread may call it, or a child of a fork.
std::size_t use_everything() {
  std::vector<char*> many(600);
  for (std::size_t n : sizes) {
    const std::size_t count = n < 10'000 ? many.size() : 2;
    for (std::size_t i = 0; i != count; ++i) many[i] = filled(n, 'a');
    for (std::size_t i = 0; i != count; ++i)
      if (!use(many[i], n)) return n;
    for (std::size_t alignment : {64, 4'096, 65'536})
      if (!use_aligned(n, alignment)) return n;
    if (!use_zeroed(n)) return n;
  }
  return 0;
}

/// Forks; the child uses the heap. Returns whether that went well.
bool fork_goes_well() {
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(60);
    std::size_t wrong = use_everything();
    std::thread([&] { wrong += use_everything(); }).join();
    ::_exit(wrong != 0);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  return status == 0;
}

/// Blocks that a thread holds, each with marks of its own at both ends: there is not memory behind all of it.
class held_blocks {
 public:
  /// The first that is missing is the last that is asked for.
  bool ask_for(std::size_t count, std::size_t size) {
    for (std::size_t i = 0; i != count; ++i) {
      auto* const p = static_cast<char*>(alloc::allocate(size, std::nothrow));
      if (p == nullptr) return false;
      p[0] = p[size - 1] = mark(blocks_.size());
      blocks_.emplace_back(p, size);
    }
    return true;
  }
  /// How many have other marks, are said to be smaller, or reach into the next.
  std::size_t count_wrong() const {
    std::size_t wrong = 0;
    for (std::size_t i = 0; i != blocks_.size(); ++i) {
      const auto [p, size] = blocks_[i];
      wrong += p[0] != mark(i) || p[size - 1] != mark(i) || alloc::usable_size(p) < size;
    }
    auto sorted = blocks_;
    std::sort(sorted.begin(), sorted.end());
    for (std::size_t i = 1; i < sorted.size(); ++i)
      wrong += sorted[i - 1].first + sorted[i - 1].second > sorted[i].first;
    return wrong;
  }
  /// Frees the last ones.
  void free_all_but(std::size_t count) {
    for (; blocks_.size() > count; blocks_.pop_back()) alloc::deallocate(blocks_.back().first);
  }

 private:
  /// Others in each thread.
  char mark(std::size_t i) const { return static_cast<char>((reinterpret_cast<std::uintptr_t>(this) >> 12) + i * 7); }

  std::vector<std::pair<char*, std::size_t>> blocks_;
};

/// Bytes of address space that the process has.
std::size_t mapped() {
  std::size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return pages * 4 * kib;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(forking, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(fork_waits_for_a_thread_that_wants_memory) {
  BOOST_REQUIRE(registered == 0);
  BOOST_TEST(use_everything() == 0u);
  std::size_t wrong = 0;
  behind b([&] { std::thread([&] { wrong += use_everything(); }).join(); });
  BOOST_TEST(fork_goes_well());
  BOOST_TEST(fork_goes_well());
  BOOST_TEST(wrong == 0u);
}

BOOST_AUTO_TEST_CASE(blocks_from_before_are_used_meanwhile_and_freed_later) {
  const std::size_t earlier = alloc::get_statistics().in_use();
  std::vector<std::pair<char*, std::size_t>> mine;
  for (std::size_t n : sizes)
    for (int i = 0; i != 4; ++i) mine.emplace_back(filled(n, 'm'), n);
  char* grown[std::size(sizes)];
  std::size_t wrong = 0;
  behind b([&] {
    std::thread([&] {
      for (std::size_t i = 0; i != mine.size(); ++i) {
        const auto [p, n] = mine[i];
        wrong += alloc::usable_size(p) < n;
        if (i % 4 == 0) {
          grown[i / 4] = static_cast<char*>(alloc::reallocate(p, 3 * n, std::nothrow));
          wrong += !holds(grown[i / 4], n, 'm');
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
  BOOST_TEST_REQUIRE(wrong == 0u);
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
  bool all_there = false;
  std::size_t wrong = 0;
  const std::size_t mapped_before = mapped();
  behind b([&] {
    std::thread([&] {
      held_blocks held;
      all_there = held.ask_for(3'000, 300 * kib) && held.ask_for(3'000, 40 * kib);
      wrong = held.count_wrong();
      held.free_all_but(0);
    }).join();
  });
  BOOST_TEST(fork_goes_well());
  BOOST_TEST(all_there);
  BOOST_TEST(wrong == 0u);
  // A thread brings less than that.
  BOOST_TEST(mapped() < mapped_before + 400 * mib,
             "of 1 GiB, all of it freed, " << (mapped() - mapped_before) / mib << " MiB are left");
}

/// Memory of freed blocks is used again, that of others is not.
BOOST_AUTO_TEST_CASE(a_thread_frees_blocks_and_wants_others_meanwhile) {
  bool all_there = true;
  std::size_t wrong = 0;
  behind b([&] {
    std::thread([&] {
      held_blocks held;
      for (std::size_t kept : {0, 1, 2, 40, 1}) {
        held.free_all_but(kept);
        all_there = all_there && held.ask_for(100, 10 * kib) && held.ask_for(5, 1 * mib);
        wrong += held.count_wrong();
      }
      held.free_all_but(0);
    }).join();
  });
  BOOST_TEST(fork_goes_well());
  BOOST_TEST(all_there);
  BOOST_TEST(wrong == 0u);
}

BOOST_AUTO_TEST_CASE(several_threads_want_blocks_meanwhile) {
  constexpr int count = 20;
  std::atomic<int> without{0};
  std::atomic<std::size_t> wrong{0};
  behind b([&] {
    std::barrier together(count);
    std::vector<std::thread> threads;
    for (int t = 0; t != count; ++t)
      threads.emplace_back([&] {
        held_blocks held;
        together.arrive_and_wait();
        bool all_there = true;
        for (int round = 0; round != 10 && all_there; ++round) {
          held.free_all_but(0);
          all_there = held.ask_for(300, 1 * kib) && held.ask_for(30, 40 * kib);
          wrong += held.count_wrong();
        }
        without += !all_there;
        held.free_all_but(0);
      });
    for (auto& t : threads) t.join();
  });
  BOOST_TEST(fork_goes_well());
  BOOST_TEST(without == 0, without << " of " << count << " threads got no block");
  BOOST_TEST(wrong == 0u);
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
    got = alloc::allocate(1 * mib, std::nothrow);
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
  std::size_t wrong = 0;
  behind b([&] { wrong += use_everything(); });
  BOOST_TEST(fork_goes_well());
  BOOST_TEST(wrong == 0u);
}

#ifndef __SANITIZE_THREAD__  // it allows no thread in a child of several
BOOST_AUTO_TEST_CASE(threads_that_allocate_and_fork_at_the_same_time) {
  std::atomic<bool> stop{false};
  std::atomic<std::size_t> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t != 2; ++t)
    threads.emplace_back([&] {
      while (!stop) wrong += use_everything();
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
  BOOST_TEST(wrong == 0u);
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
