// SPDX-License-Identifier: BSL-1.0
//
// How much stack the runtime's own entries need below the caller: what a small stack keeps below its limit must hold
// it.
#define BOOST_TEST_MODULE runtime_reserve
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

#include "heddle/heddle.hpp"
#include "scheduler.hpp"

namespace {

using namespace std::chrono_literals;
namespace detail = heddle::detail;

constexpr unsigned char paint = 0xA5;
#if defined(__OPTIMIZE__)
constexpr std::ptrdiff_t step = 100;  // of at_limit(), at most
#else
constexpr std::ptrdiff_t step = 300;
#endif

[[gnu::always_inline]] inline char* stack_pointer() {
  char* at = nullptr;
  asm volatile("movq %%rsp, %0" : "=r"(at));
  return at;
}

/// What `what` leaves untouched of the reserve when it is called at the limit.
template <void (*what)()>
[[gnu::noinline]] std::size_t left_of_reserve(char* bottom, char* limit) {
  if (stack_pointer() < limit || stack_pointer() > limit + 2 * step) return 0;  // not where it is to be
  for (char* at = bottom; at < stack_pointer() - 8; ++at) *const_cast<volatile char*>(at) = static_cast<char>(paint);
  what();
  const char* at = bottom;
  while (static_cast<unsigned char>(*const_cast<const volatile char*>(at)) == paint) ++at;
  return static_cast<std::size_t>(at - bottom);
}

/// Goes down in small steps until the next would leave the segment.
template <void (*what)()>
[[gnu::noinline]] std::size_t at_limit(char* bottom, char* limit) {
  if (stack_pointer() - limit < step) return left_of_reserve<what>(bottom, limit);
  const std::size_t left = at_limit<what>(bottom, limit);
  asm volatile("");  // no tail call
  return left;
}

template <void (*what)()>
std::size_t on_small_stack() {
  const detail::stack& first = *detail::this_machine()->current->memory;
  return at_limit<what>(first.bottom + 8, first.limit);  // above the canary
}

heddle::channel<int>* pipe = nullptr;
heddle::mutex* contended = nullptr;
heddle::wait_group* group = nullptr;
detail::fiber* awaited = nullptr;
int busy_word = 0;

// Their own frames count too: some bytes.
[[gnu::noinline]] void yields() { heddle::this_fiber::yield(); }
[[gnu::noinline]] void starts() {
  heddle::go([] {});
}
[[gnu::noinline]] void sleeps() { detail::sleep_until(detail::monotonic_now() + 200'000); }
[[gnu::noinline]] void locks() {
  contended->lock();
  contended->unlock();
}
[[gnu::noinline]] void waits() { group->wait(); }
[[gnu::noinline]] void ends() { group->done(); }
[[gnu::noinline]] void blocks() {
  detail::blocking_section here;
  const auto begin = detail::monotonic_now();
  while (detail::monotonic_now() < begin + 3'000'000) {
  }
}
[[gnu::noinline]] void asks() { (void)heddle::this_fiber::get_id(); }
[[gnu::noinline]] void names() { heddle::this_fiber::name("somebody with a name that is long enough for the heap"); }
[[gnu::noinline]] void joins() { detail::join_fiber(awaited); }
[[gnu::noinline]] void lends() {
  heddle::spawn([] { heddle::this_fiber::yield(); }).join();
}
[[gnu::noinline]] void closes() { pipe->close(); }
[[gnu::noinline]] void receives() { (void)pipe->receive(); }
[[gnu::noinline]] void sends() { pipe->send(1); }
[[gnu::noinline]] void copies() {
  static char from[5000], to[5000];
  from[busy_word]++;
  std::memcpy(to, from, sizeof to - static_cast<std::size_t>(busy_word));
  std::memset(from, busy_word, sizeof from);
}

std::size_t least_left = 10'000;

template <void (*what)()>
void check(const char* name, int times = 1) {
  for (int i = 0; i != times; ++i) {
    std::size_t left = 0;
    bool begun = false;
    auto small = heddle::spawn({.stack_size = 2048}, [&] {
      begun = true;
      left = on_small_stack<what>();
    });
    while (!begun) heddle::this_fiber::yield();  // else it would run on the stack of its joiner
    small.join();
    BOOST_TEST_MESSAGE(name << " leaves " << left << " bytes");
    BOOST_CHECK_MESSAGE(left >= 24, name << " leaves only " << left << " bytes of " << detail::segment_reserve);
    least_left = std::min(least_left, left);
  }
}

void measure(unsigned procs) {
  least_left = 10'000;
  heddle::run(
      [] {
        for (int round = 0; round != 3; ++round) {
          check<yields>("yield alone");
          {
            bool stop = false;
            std::vector<heddle::join_handle<void>> others;
            for (int i = 0; i != 600; ++i)
              others.push_back(heddle::spawn([&] {
                while (!stop) heddle::this_fiber::yield();
              }));
            check<yields>("yield among many", 200);
            check<starts>("start", 600);
            check<sleeps>("sleep", 20);
            stop = true;
          }
          check<starts>("start", 600);
          check<sleeps>("sleep alone", 3);
          heddle::mutex m;
          contended = &m;
          check<locks>("lock");
          m.lock();
          auto holder = heddle::spawn([&] {
            heddle::this_fiber::sleep_for(2ms);
            m.unlock();
          });
          check<locks>("lock that is held");
          holder.join();
          heddle::wait_group g;
          group = &g;
          g.add(1);
          auto done = heddle::spawn([&] {
            heddle::this_fiber::sleep_for(2ms);
            g.done();
          });
          check<waits>("wait");
          done.join();
          g.add(1);
          auto waiter = heddle::spawn([&] { g.wait(); });
          heddle::this_fiber::yield();
          check<ends>("done");
          waiter.join();
          check<blocks>("blocking call");
          check<asks>("id");
          check<names>("name");
          auto late = heddle::spawn([&] { heddle::this_fiber::sleep_for(1ms); });
          awaited = reinterpret_cast<detail::fiber*&>(late);
          check<joins>("join");
          check<lends>("join on the same stack", 10);
          for (const std::size_t capacity : {0, 3}) {
            heddle::channel<int> c(capacity);
            pipe = &c;
            auto sender = heddle::spawn([&] {
              heddle::this_fiber::sleep_for(1ms);
              c.send(1);
            });
            check<receives>("receive");
            sender.join();
            auto reader = heddle::spawn([&] {
              heddle::this_fiber::sleep_for(1ms);
              (void)c.receive();
            });
            check<sends>("send");
            reader.join();
            auto last = heddle::spawn([&] { (void)c.receive(); });
            heddle::this_fiber::yield();
            check<closes>("close");
            last.join();
          }
          check<copies>("memcpy, memset");
        }
      },
      {.procs = procs, .preempt = false});
  BOOST_TEST_MESSAGE("the least left is " << least_left << " bytes of " << detail::segment_reserve);
}

}  // namespace

BOOST_AUTO_TEST_CASE(one_processor) { measure(1); }
BOOST_AUTO_TEST_CASE(two_processors) { measure(2); }
