// SPDX-License-Identifier: BSL-1.0
//
// Stacks that grow beside the rest of heddle: kinds, sizes, synchronisation, and their memory.
#include <malloc.h>

#include <array>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <string>

#include "heddle/heddle.hpp"
#include "runtime/segmented/small_stacks.hpp"

using namespace std::chrono_literals;
using heddle::testing::beside_others;
using heddle::testing::deep;
using heddle::testing::one_machine;

BOOST_AUTO_TEST_SUITE(kinds)

BOOST_AUTO_TEST_CASE(what_was_compiled_for_it_is_segmented) {
  heddle::run([] {
    const std::size_t before = heddle::stats().segments;
    std::size_t used = 0;
    heddle::go([&] { used = heddle::this_fiber::stack_used(); });
    while (used == 0) heddle::this_fiber::yield();
    BOOST_TEST(used < 2'000);
    BOOST_TEST(heddle::stats().segments >= before);
  });
}

/// The use of the stack below n frames of a kibibyte each.
[[gnu::noinline]] std::size_t used_below(int n) {
  volatile char frame[1024];
  frame[0] = 1;
  const std::size_t used = n == 0 ? heddle::this_fiber::stack_used() : used_below(n - 1);
  return used + frame[0] - 1;
}

BOOST_AUTO_TEST_CASE(use_is_counted_in_all_segments) {
  heddle::run([] {
    const std::size_t before = heddle::this_fiber::stack_used();
    const std::size_t below = used_below(2'000);
    BOOST_TEST(below > before + 2'000u * 1024u);
    BOOST_TEST(heddle::this_fiber::stack_used() == before);
  });
}

BOOST_AUTO_TEST_CASE(contiguous_if_asked) {
  const auto main = [] {
    const std::size_t used = heddle::spawn({.stack = heddle::stack_kind::contiguous}, [] {
                               (void)deep(500);
                               return heddle::this_fiber::stack_used();
                             }).join();
    BOOST_TEST(used > 0);
    const std::size_t made = heddle::stats().segments;
    BOOST_TEST(heddle::spawn({.stack_size = 1 << 20}, [] { return deep(4'000); }).join() == 4'000);
    BOOST_TEST(heddle::stats().segments == made);
  };
  heddle::run(main, one_machine);
}

BOOST_AUTO_TEST_CASE(of_any_first_size) {
  heddle::run([] {
    for (const std::size_t size : {1024, 2048, 16384, 65536, 1 << 20})
      BOOST_TEST(heddle::spawn({.stack_size = size, .stack = heddle::stack_kind::segmented}, [] {
                   return deep(20'000);
                 }).join() == 20'000);
  });
}

BOOST_AUTO_TEST_CASE(sizes_out_of_range) {
  heddle::run([] {
    for (const std::size_t size : {1, 1023, 3000, 4096, 16383, (64 << 20) + 1})
      BOOST_CHECK_EXCEPTION(
          heddle::go({.stack_size = size, .stack = heddle::stack_kind::segmented}, [] {}), std::invalid_argument,
          [&](const auto& e) { return std::string(e.what()).find(std::to_string(size)) != std::string::npos; });
  });
  BOOST_CHECK_THROW(heddle::run([] {}, {.segment_size = 4096}), std::invalid_argument);
  BOOST_CHECK_THROW(heddle::run([] {}, {.max_stack = 1000}), std::invalid_argument);
}

BOOST_AUTO_TEST_CASE(everything_of_sync) {
  heddle::run(
      [] {
        heddle::channel<std::string> words(3);
        heddle::channel<int> sums;
        heddle::mutex m;
        heddle::wait_group all;
        long guarded = 0;
        for (int i = 0; i != 50; ++i) {
          all.add(1);
          heddle::go([&, i] {
            words.send(std::string(static_cast<std::size_t>(i), 'a'));
            {
              const std::lock_guard hold(m);
              guarded += deep(100);
              heddle::this_fiber::sleep_for(10us);
            }
            all.done();  // the last one may end the mutex
          });
        }
        auto reader = heddle::spawn([&] {
          std::size_t sum = 0;
          for (const std::string& word : words) sum += word.size();
          sums.send(static_cast<int>(sum));
        });
        all.wait();
        words.close();
        BOOST_TEST(*sums.receive() == 1225);
        BOOST_TEST(guarded == 5000);
      },
      {.procs = 2});
}

BOOST_AUTO_TEST_CASE(what_a_closure_carries) {
  std::atomic<int> sum{0};
  heddle::run(
      [&] {
        const std::string text(100, 'x');
        const std::array<char, 500> large{};
        for (int i = 0; i != 200; ++i) {
          heddle::go([&sum, text] { sum += static_cast<int>(text.size()); });
          heddle::go([&sum, large] { sum += large[7] + 1; });
          heddle::go({.name = "a name that is too long for a short string"}, [&sum, shared = std::make_shared<int>(3)] {
            sum += *shared;
            heddle::this_fiber::name("another name, as long as the first one was");
          });
          heddle::spawn([text] { return text; }).detach();
        }
      },
      {.procs = 2});
  BOOST_TEST(sum == 200 * 104);
}

BOOST_AUTO_TEST_CASE(on_large_stack_returns) {
  beside_others([] {
    if (heddle::on_large_stack([] { return std::string("value"); }) != "value") std::abort();
    int n = 0;
    int& r = heddle::on_large_stack([&]() -> int& { return n; });
    if (&r != &n) std::abort();
    heddle::on_large_stack(
        [&] {
          heddle::this_fiber::yield();
          char* const all = static_cast<char*>(__builtin_frame_address(0)) - 900'000;
          std::memset(all, 1, 890'000);
          n = 1;
        },
        1 << 20);
    if (n != 1) std::abort();
  });
  BOOST_TEST(heddle::on_large_stack([] { return 5; }) == 5);  // a plain thread
}

BOOST_AUTO_TEST_CASE(many_small_ones_fit) {
  heddle::run(
      [] {
        heddle::channel<int> gate;
        heddle::wait_group done;
        constexpr int n = 20'000;
        int parked = 0;
        for (int i = 0; i != n; ++i) {
          done.add(1);
          heddle::go([&] {
            ++parked;
            (void)gate.receive();
            done.done();
          });
        }
        while (parked != n) heddle::this_fiber::yield();
        BOOST_TEST(heddle::stats().segments < 10);  // nobody needed a second one
        gate.close();
        done.wait();
      },
      {.procs = 1, .segment_size = 1024, .monitor = false});
}

BOOST_AUTO_TEST_SUITE_END()

// --- memory ---------------------------------------------------------------------------------------------------------

namespace {
std::size_t resident() {
  std::ifstream file("/proc/self/statm");
  std::size_t total = 0;
  std::size_t pages = 0;
  file >> total >> pages;
  return pages * 4096;
}
}  // namespace

BOOST_AUTO_TEST_CASE(memory_comes_back_after_a_burst) {
  heddle::run([] {
    const auto burst = [](int n) {
      heddle::channel<int> gate;
      heddle::wait_group done;
      std::atomic<int> parked{0};
      for (int i = 0; i != n; ++i) {
        done.add(1);
        heddle::go([&] {
          ++parked;
          (void)gate.receive();
          done.done();
        });
      }
      while (parked != n) heddle::this_fiber::yield();
      const std::size_t most = resident();
      gate.close();
      done.wait();
      return most;
    };
    burst(1000);
    const std::size_t before = resident();
    const std::size_t most = burst(100'000);
#if defined(__OPTIMIZE__)  // others need more than a page
    BOOST_TEST(most > before + 100'000 * 1900);
    BOOST_TEST(most < before + 100'000 * 2250);
#endif
    std::size_t now = most;
    for (int i = 0; i != 300 && now > before + before / 10; ++i) {
      heddle::this_fiber::sleep_for(100ms);
      ::malloc_trim(0);
      now = resident();
    }
    BOOST_TEST(now <= before + before / 10);
    burst(1000);
  });
}
