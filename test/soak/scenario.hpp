// SPDX-License-Identifier: BSL-1.0
//
// What the scenarios of the soak share: a seeded source of chance for each worker, workers that are fibers and plain
// threads, and a way to say that a promise was broken.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <stop_token>
#include <thread>
#include <vector>

#include "heddle/heddle.hpp"

namespace soak {

/// What a round is run with; the same seed makes the same choices, though not the same schedule.
struct round {
  std::uint64_t seed;
  unsigned fibers;
  unsigned threads;
  unsigned operations;  ///< of each worker
};

/// Ends the program, naming the promise that was broken.
[[noreturn]] inline void broken(const char* promise) {
  std::fprintf(stderr, "soak: broken: %s\n", promise);
  std::abort();
}
inline void require(bool kept, const char* promise) {
  if (!kept) [[unlikely]]
    broken(promise);
}

/// Chance, for one worker.
class dice {
 public:
  explicit dice(std::uint64_t seed) : engine_(seed) {}
  unsigned below(unsigned n) { return static_cast<unsigned>(engine_() % n); }
  bool one_in(unsigned n) { return below(n) == 0; }
  /// Mostly nothing or next to nothing, so that deadlines meet what they are deadlines of; sometimes a millisecond.
  std::chrono::nanoseconds moment() {
    static constexpr std::int64_t longest[] = {1, 2'000, 20'000, 100'000, 1'000'000};
    return std::chrono::nanoseconds(
        static_cast<std::int64_t>(engine_() % static_cast<std::uint64_t>(longest[below(5)])));
  }
  /// Some time passes, by computing, yielding or sleeping.
  void dawdle() {
    switch (below(8)) {
      case 0: heddle::this_fiber::sleep_for(moment()); break;
      case 1:
      case 2: heddle::this_fiber::yield(); break;
      case 3:
        for (unsigned i = below(2'000); i != 0; --i) asm volatile("");
        break;
      default: break;
    }
  }

 private:
  std::minstd_rand engine_;
};

/// Runs work(dice, number) by all workers of the round at once and waits for them. From a fiber.
template <class F>
void work_together(const round& r, F work) {
  std::vector<std::thread> threads;
  std::vector<heddle::join_handle<void>> fibers;
  const auto start = [&work, &r](unsigned i) {
    return [&work, &r, i] {
      dice chance(r.seed * 1'000 + i + 1);
      work(chance, i);
    };
  };
  for (unsigned i = 0; i != r.threads; ++i) threads.emplace_back(start(i));
  for (unsigned i = 0; i != r.fibers; ++i) fibers.push_back(heddle::spawn(start(r.threads + i)));
  for (auto& f : fibers) f.join();
  heddle::blocking([&] {
    for (std::thread& t : threads) t.join();
  });
}

/// Requests stops at random moments, from a fiber of its own, and makes a fresh source each time.
class stopper {
 public:
  explicit stopper(std::uint64_t seed) : fiber_(heddle::spawn([this, seed] { run(dice(seed)); })) {}
  ~stopper() {
    end_ = true;
    fiber_.join();
  }
  std::stop_token token() {
    const std::lock_guard hold(lock_);
    return source_.get_token();
  }

 private:
  void run(dice chance) {
    while (!end_) {
      heddle::this_fiber::sleep_for(chance.moment());
      std::stop_source old;
      {
        const std::lock_guard hold(lock_);
        std::swap(old, source_);
      }
      old.request_stop();
    }
  }

  heddle::mutex lock_;
  std::stop_source source_;
  std::atomic<bool> end_{false};
  heddle::join_handle<void> fiber_;
};

}  // namespace soak
