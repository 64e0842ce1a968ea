// SPDX-License-Identifier: BSL-1.0
//
// Graphs that fibers on both kinds of stacks, and plain threads, change at random while the collector runs all the
// time, and checks the marks of each cycle whole. Each object knows what must be in it: one that was taken for dead,
// and is still reached, does not.
//
// Ten seconds. As a soak, ten minutes: test_gc_random_graphs -- --seconds 600
#include <array>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include "add_option.hpp"
#include "heddle/fiber.hpp"
#include "heddle/gc.hpp"
#include "heddle/run.hpp"
#include "heddle/this_fiber.hpp"

namespace {

namespace gc = heddle::gc;
using namespace std::chrono_literals;

struct object {
  std::array<gc::ptr<object>, 3> own;                 // changed by the one that has made it, before others see it
  std::array<gc::atomic<gc::ptr<object>>, 2> shared;  // changed by anybody
  std::uint64_t id = 0;
  std::uint64_t check = 0;
};
constexpr std::uint64_t key = 0x5bd1'e995'7b93'14c7;
std::atomic<std::uint64_t> wrong{0};
std::atomic<std::uint64_t> looked_at{0};
std::array<gc::atomic<gc::ptr<object>>, 32> table;  // a root: it is static

void look_at(const object* o) {
  looked_at.fetch_add(1, std::memory_order_relaxed);
  if ((o->id ^ key) != o->check) wrong.fetch_add(1, std::memory_order_relaxed);
}

class worker {
 public:
  explicit worker(std::uint64_t seed) : random_(seed) {}

  void step() {
    switch (pick(8)) {
      case 0:
      case 1: held_[pick(held_.size())] = make(); break;
      case 2: table[pick(table.size())].store(held_[pick(held_.size())]); break;
      case 3: held_[pick(held_.size())] = table[pick(table.size())].load(); break;
      case 4: held_[pick(held_.size())] = walk(held_[pick(held_.size())]); break;
      case 5:
        if (object* const o = held_[pick(held_.size())]) {
          look_at(o);
          gc::ptr<object> before = o->shared[pick(2)].exchange(held_[pick(held_.size())]);
          if (before) look_at(before);
          held_[pick(held_.size())] = before;
        }
        break;
      case 6: held_[pick(held_.size())] = nullptr; break;
      default: table[pick(table.size())].store(nullptr); break;
    }
  }

 private:
  std::size_t pick(std::size_t n) { return random_() % n; }
  object* make() {
    gc::ptr<object> o = gc::make<object>();
    o->id = random_();
    o->check = o->id ^ key;
    for (auto& p : o->own) p = held_[pick(held_.size())];
    for (auto& p : o->own)
      if (p) look_at(p);
    return o;
  }
  object* walk(object* o) {
    for (int i = 0; o != nullptr && i != 20; ++i) {
      look_at(o);
      object* const next = pick(2) == 0 ? static_cast<object*>(o->own[pick(3)]) : o->shared[pick(2)].load().get();
      if (next == nullptr) break;
      o = next;
    }
    return o;
  }

  std::minstd_rand random_;
  std::array<object*, 8> held_{};  // on a stack
};

/// Cycles follow each other until the time is over.
void check_for(std::chrono::milliseconds time) {
  const auto end = std::chrono::steady_clock::now() + time;
  const auto over = [&] { return std::chrono::steady_clock::now() >= end; };
  const auto work = [&](std::uint64_t seed) {
    worker w(seed);
    while (!over()) {
      for (int i = 0; i != 200; ++i) w.step();
      if (heddle::this_fiber::is_fiber() && seed % 2 == 0) heddle::this_fiber::yield();
    }
  };
  const std::uint64_t cycles = gc::statistics().cycles;
  std::vector<std::thread> threads;
  for (std::uint64_t seed = 1; seed != 3; ++seed) threads.emplace_back(work, seed);
  threads.emplace_back([&] {
    while (!over()) gc::collect();
  });
  heddle::run([&] {
    std::vector<heddle::join_handle<void>> fibers;
    for (std::uint64_t seed = 10; seed != 26; ++seed) fibers.push_back(heddle::spawn(work, seed));
    for (auto& f : fibers) f.join();
  });
  for (std::thread& t : threads) t.join();
  BOOST_TEST(wrong.load() == 0u);
  BOOST_TEST(looked_at.load() > 1000u);
  BOOST_TEST(gc::statistics().cycles > cycles + 5);
}

/// The number behind --seconds.
std::chrono::seconds asked_for() {
  const auto& arguments = boost::unit_test::framework::master_test_suite();
  for (int i = 1; i + 1 < arguments.argc; ++i)
    if (std::strcmp(arguments.argv[i], "--seconds") == 0) return std::chrono::seconds(std::atoi(arguments.argv[i + 1]));
  return 10s;
}

struct checks_all {
  checks_all() { heddle::testing::add_option("check"); }
};
BOOST_TEST_GLOBAL_FIXTURE(checks_all);

}  // namespace

BOOST_AUTO_TEST_CASE(random_graphs) { check_for(asked_for()); }
