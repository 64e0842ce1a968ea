// SPDX-License-Identifier: BSL-1.0
#include "heddle/fiber.hpp"

#include <array>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "heddle/run.hpp"
#include "heddle/this_fiber.hpp"
#include "support/death.hpp"
#include "support/leak_check.hpp"
#include "support/scale.hpp"

namespace {

using namespace std::chrono_literals;
using heddle::testing::death_of;
using heddle::testing::times;

struct counted {
  inline static std::atomic<int> alive{0};
  counted() { ++alive; }
  counted(const counted&) { ++alive; }
  counted(counted&&) noexcept { ++alive; }
  ~counted() { --alive; }
};

std::size_t resident_pages() {
  std::size_t mapped = 0;
  std::size_t resident = 0;
  std::ifstream("/proc/self/statm") >> mapped >> resident;
  return resident;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(fiber, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(arguments_are_decayed_and_moved) {
  heddle::run([] {
    auto text = heddle::spawn([](const std::string& s, std::unique_ptr<int> p) { return s + std::to_string(*p); },
                              "n=", std::make_unique<int>(4));
    BOOST_TEST(text.join() == "n=4");
    int there = 1;
    heddle::spawn([](int& n) { n = 2; }, std::ref(there)).join();
    BOOST_TEST(there == 2);
  });
}

BOOST_AUTO_TEST_CASE(who_joins_a_fiber_that_has_not_begun_lends_it_its_stack_and_nothing_else) {
  std::atomic<int> wrong{0};  // the two may run at once, which Boost.Test's checks do not allow
  const auto check = [&](bool right) { wrong += right ? 0 : 1; };
  for (const unsigned procs : {1u, 2u}) {
    heddle::run(
        [&] {
          for (int i = 0; i != times(2000); ++i) {
            const auto mine = heddle::this_fiber::get_id();
            heddle::this_fiber::name("joiner");
            try {
              throw i;
            } catch (...) {
              auto h = heddle::spawn([&] {
                const auto id = heddle::this_fiber::get_id();
                check(id != mine);
                check(heddle::this_fiber::name().empty());
                check(!std::current_exception());
                if (i % 2 != 0) heddle::this_fiber::yield();
                if (i % 100 == 1) heddle::this_fiber::sleep_for(10us);
                check(heddle::this_fiber::get_id() == id);
                if (i % 3 == 0) throw std::runtime_error("from within");
                return i;
              });
              const auto id = h.get_id();
              check(id != mine);
              try {
                check(h.join() == i && i % 3 != 0);
              } catch (const std::runtime_error&) {
                check(i % 3 == 0);
              }
              check(heddle::this_fiber::get_id() == mine);
              check(heddle::this_fiber::name() == "joiner");
              try {
                throw;
              } catch (int again) {
                check(again == i);
              }
            }
          }
        },
        {.procs = procs});
  }
  BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_CASE(joins_within_joins_do_not_pile_up_on_one_stack) {
  struct descent {
    static int to(int depth) {
      std::array<volatile char, 512> frame;  // 20,000 of them are 40 times a stack
      frame[0] = 1;
      return depth == 0 ? 0 : frame[0] + heddle::spawn([depth] { return to(depth - 1); }).join();
    }
  };
  constexpr int depth = times(20'000);
  BOOST_TEST(heddle::run([] { return descent::to(depth); }) == depth);
  constexpr std::size_t twice = std::size_t{512} << 10;
  heddle::run([] {  // its own size means its own stack
    heddle::spawn(heddle::fiber_options{.stack_size = twice}, [] {
      std::vector<char> used(1);
      volatile char* const frame = static_cast<char*>(__builtin_alloca(twice - 16384));
      frame[0] = used[0];
    }).join();
  });
}

BOOST_AUTO_TEST_CASE(closures_of_any_size_and_alignment) {
  heddle::run([] {
    std::array<int, 1000> big{};
    big[999] = 5;
    BOOST_TEST(heddle::spawn([big] { return big[999]; }).join() == 5);
    struct alignas(256) wide {
      int n = 6;
    };
    auto ok = heddle::spawn([w = wide{}] { return w.n == 6 && reinterpret_cast<std::uintptr_t>(&w) % 256 == 0; });
    BOOST_TEST(ok.join());
    std::atomic<int> sum{0};
    heddle::go([&sum, big] { sum += big[999]; });
    while (sum == 0) heddle::this_fiber::yield();
  });
}

BOOST_AUTO_TEST_CASE(closures_and_results_are_destroyed_once) {
  for (unsigned procs : {1u, 2u}) {
    heddle::run(
        [] {
          for (int i = 0; i != times(1000); ++i) {
            heddle::go([c = counted()] { heddle::this_fiber::yield(); });
            auto joined = heddle::spawn([c = counted()] { return counted(); });
            auto detached = heddle::spawn([c = counted()] { return counted(); });
            auto dropped = heddle::spawn([c = counted()] { return counted(); });
            (void)joined.join();
            detached.detach();
            heddle::spawn([c = counted()] { return counted(); }).detach();  // before it begins
          }
        },
        {.procs = procs});
    BOOST_TEST(counted::alive == 0);
  }
}

BOOST_AUTO_TEST_CASE(a_closure_that_cannot_be_moved_in_leaves_nothing) {
  struct stubborn {
    counted c;
    bool may_move = true;
    stubborn() = default;
    stubborn(stubborn&& other) : c(other.c), may_move(other.may_move) {
      if (!may_move) throw std::runtime_error("stays");
      may_move = false;  // once
    }
    void operator()() const {}
  };
  heddle::run([] { BOOST_CHECK_THROW(heddle::go(stubborn{}), std::runtime_error); });
  BOOST_CHECK_THROW(heddle::go(stubborn{}), std::runtime_error);
  heddle::shutdown();
  BOOST_TEST(counted::alive == 0);
}

BOOST_AUTO_TEST_CASE(join_gives_the_value_or_throws) {
  heddle::run([] {
    auto bad = heddle::spawn([]() -> int { throw std::runtime_error("no value"); });
    BOOST_CHECK_EXCEPTION(bad.join(), std::runtime_error,
                          [](const auto& e) { return std::string(e.what()) == "no value"; });
    BOOST_TEST(!bad.joinable());
    BOOST_CHECK_THROW(bad.join(), std::logic_error);
    heddle::join_handle<int> none;
    BOOST_CHECK_THROW(none.join(), std::logic_error);
    int there = 0;
    auto reference = heddle::spawn([&]() -> int& { return there; });
    BOOST_TEST(&reference.join() == &there);
  });
}

BOOST_AUTO_TEST_CASE(handles_move_and_join_when_destroyed) {
  std::atomic<int> ended{0};
  heddle::run([&] {
    auto slow = [&] {
      heddle::this_fiber::sleep_for(2ms);
      return ++ended;
    };
    {
      auto a = heddle::spawn(slow);
      auto b = std::move(a);
      BOOST_TEST(!a.joinable());
      a = heddle::spawn(slow);
      a = std::move(b);  // joins the second
      BOOST_TEST(ended >= 1);
    }
    BOOST_TEST(ended == 2);
  });
}

BOOST_AUTO_TEST_CASE(join_from_plain_threads_and_other_fibers) {
  heddle::run(
      [] {
        auto first = heddle::spawn([] {
          heddle::this_fiber::sleep_for(3ms);
          return 1;
        });
        auto second = heddle::spawn([h = std::move(first)]() mutable { return h.join() + 1; });
        int seen = 0;
        std::thread plain([&] { seen = second.join(); });
        plain.join();
        BOOST_TEST(seen == 2);
      },
      {.procs = 2});
}

BOOST_AUTO_TEST_CASE(names_and_ids) {
  std::set<std::uint64_t> ids;
  heddle::run(
      [&] {
        BOOST_TEST(heddle::this_fiber::name() == "main");
        heddle::spawn(heddle::fiber_options{.name = "reader"}, [] {
          BOOST_TEST(heddle::this_fiber::name() == "reader");
          heddle::this_fiber::name("writer");
          BOOST_TEST(heddle::this_fiber::name() == "writer");
        }).join();
        std::vector<heddle::join_handle<heddle::fiber_id>> all;
        for (int i = 0; i != times(20'000); ++i) {
          all.push_back(heddle::spawn([] { return heddle::this_fiber::get_id(); }));
          const auto id = all.back().get_id();
          BOOST_REQUIRE(ids.insert(id.number()).second);
        }
        for (auto& h : all) {
          const auto id = h.get_id();
          BOOST_REQUIRE(h.join() == id);
        }
      },
      {.procs = 2});
  BOOST_TEST((heddle::this_fiber::get_id() == heddle::fiber_id()));
  BOOST_TEST(!heddle::this_fiber::is_fiber());
}

BOOST_AUTO_TEST_CASE(a_name_ends_with_its_fiber) {
  heddle::run(
      [] {
        for (int i = 0; i != 100; ++i) {  // the blocks of those that have ended are used again
          heddle::go({.name = "first"}, [] { heddle::this_fiber::name("second"); });
          heddle::spawn(heddle::fiber_options{.name = "joined"}, [] {}).join();
          heddle::this_fiber::yield();
          for (int k = 0; k != 3; ++k) heddle::go([] { BOOST_REQUIRE(heddle::this_fiber::name().empty()); });
          heddle::this_fiber::yield();
        }
      },
      {.procs = 1, .monitor = false});
}

BOOST_AUTO_TEST_CASE(stacks_of_other_sizes) {
  heddle::run([] {
    // A sanitizer's frames and redzones do not fit into the smallest.
    const std::size_t smallest = std::size_t{heddle::testing::sanitized ? 128 : 16} << 10;
    for (const std::size_t size : {smallest, std::size_t{1} << 20, std::size_t{8} << 20}) {
      auto depth = heddle::spawn(heddle::fiber_options{.stack_size = size}, [size] {
        std::vector<char> used(1);
        volatile char* frame = static_cast<char*>(__builtin_alloca(size / 2));
        frame[0] = 1;
        return frame[0] + used.size();
      });
      BOOST_TEST(depth.join() == 2u);
    }
    BOOST_CHECK_EXCEPTION(heddle::go({.stack_size = 4096}, [] {}), std::invalid_argument,
                          [](const auto& e) { return std::string(e.what()).find("4096") != std::string::npos; });
  });
}

namespace {
/// Needs so many bytes of the stack that it is on.
[[gnu::noinline]] int uses(std::size_t bytes) {
  volatile char* const frame = static_cast<char*>(__builtin_alloca(bytes));
  frame[0] = 1;
  return frame[0];
}
}  // namespace

// There is a size of fewer pages, and of more.
BOOST_AUTO_TEST_CASE(a_size_is_rounded_up, *boost::unit_test::enable_if<!heddle::testing::sanitized>()) {
  heddle::run([] {
    for (const std::size_t pages : {4, 6}) heddle::spawn({.stack_size = pages * 4096}, [] {}).join();
    BOOST_TEST(heddle::spawn(heddle::fiber_options{.stack_size = 4 * 4096 + 1}, [] { return uses(13'000); }).join() ==
               1);
  });
}

// A fiber that has not begun may run on its joiner's stack, but not where little of that is left.
BOOST_AUTO_TEST_CASE(who_is_joined_has_a_stack) {
  heddle::run(
      [] {
        constexpr std::size_t size = std::size_t{256} << 10;
        volatile char* const frame = static_cast<char*>(__builtin_alloca(size / 2));
        frame[0] = 1;
        BOOST_TEST(heddle::spawn([] { return uses(size / 4 * 3); }).join() == 1);
        BOOST_TEST(frame[0] == 1);
      },
      {.procs = 1, .stack_size = std::size_t{256} << 10, .monitor = false});
}

BOOST_AUTO_TEST_CASE(an_escaping_exception_names_the_fiber) {
  const auto end = death_of(
      [] { heddle::run([] { heddle::go({.name = "loom"}, [] { throw std::runtime_error("a thread broke"); }); }); });
  BOOST_TEST(end.signal == SIGABRT);
  BOOST_TEST(end.says("\"loom\""));
  BOOST_TEST(end.says("std::runtime_error"));
  BOOST_TEST(end.says("a thread broke"));
}

BOOST_AUTO_TEST_CASE(a_pair_that_yields_to_each_other_starves_nobody) {
  heddle::run(
      [] {
        std::atomic<bool> fresh_ran{false};
        std::atomic<long> turns{0};
        const auto spin = [&] {
          while (!fresh_ran) {
            ++turns;
            heddle::this_fiber::yield();
          }
        };
        auto a = heddle::spawn(spin);
        auto b = heddle::spawn(spin);
        while (turns < 10) heddle::this_fiber::yield();
        heddle::go([&] { fresh_ran = true; });
        heddle::go([] {});  // displaces it from runnext
        a.join();
        b.join();
        BOOST_TEST(turns < 2000);
      },
      {.procs = 1, .monitor = false});
}

BOOST_AUTO_TEST_CASE(memory_does_not_grow_with_the_number_ever_made) {
  const char* const given = std::getenv("HEDDLE_TEST_SPAWNS");  // for a long run: 100000000
  const long n = given ? std::atol(given) : times(200'000);
  heddle::run(
      [n] {
        const auto round = [n] {
          for (long i = 0; i != n; ++i) heddle::spawn([] {}).join();
        };
        round();
        const std::size_t pages = resident_pages();
        round();
        BOOST_TEST(heddle::stats().stacks <= 8u);
        if (!heddle::testing::sanitized) BOOST_TEST(resident_pages() <= pages + 64);
      },
      {.procs = 2});
}

BOOST_AUTO_TEST_CASE(many_parked_fibers_and_few_mappings) {
  const int n = times(100'000, 50);
  heddle::run(
      [n] {
        std::atomic<int> asleep{0};
        std::vector<heddle::join_handle<void>> all;
        for (int i = 0; i != n; ++i)
          all.push_back(heddle::spawn([&] {
            ++asleep;
            heddle::this_fiber::sleep_for(200ms);
          }));
        while (asleep != n) heddle::this_fiber::yield();
        std::size_t maps = 0;
        if (std::FILE* f = std::fopen("/proc/self/maps", "re")) {
          for (int c; (c = std::fgetc(f)) != EOF;) maps += c == '\n';
          std::fclose(f);
        }
        BOOST_TEST_MESSAGE(maps << " mappings for " << n << " stacks");
        if (!heddle::testing::sanitized) BOOST_TEST(maps < 30'000u);
      },
      {.procs = 2});
}

BOOST_AUTO_TEST_SUITE_END()
