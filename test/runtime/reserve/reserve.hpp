// SPDX-License-Identifier: BSL-1.0
//
// How much stack an entry of heddle's needs below its caller: what a small stack keeps below its limit must hold it.
#pragma once

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstddef>

#include "heddle/heddle.hpp"
#include "scheduler.hpp"

namespace heddle::testing::reserve {

using namespace std::chrono_literals;

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

/// The bytes of the reserve that `what` leaves untouched when it is called at the limit, or some bytes above.
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
std::size_t on_small_stack(std::size_t above) {
  const detail::stack& first = *detail::this_machine()->current->memory;
  return at_limit<what>(first.bottom + 8, first.limit + above);  // above the canary
}

inline std::size_t least_left = 10'000;

inline void nothing() {}

/// Calls `what` at the limit of a small stack or so many bytes above, so many times, each after `prepare`, which has
/// more room.
template <void (*what)(), void (*prepare)() = nothing>
void check_above(const char* name, int times, std::size_t above) {
  for (int i = 0; i != times; ++i) {
    std::size_t left = 0;
    bool begun = false;
    auto small = heddle::spawn({.stack_size = 2048}, [&] {
      begun = true;
      prepare();
      left = on_small_stack<what>(above);
    });
    while (!begun) heddle::this_fiber::yield();  // else it would run on the stack of its joiner
    small.join();
    BOOST_TEST_MESSAGE(name << " leaves " << left << " bytes");
    BOOST_CHECK_MESSAGE(left >= 24, name << " leaves only " << left << " bytes of " << detail::segment_reserve);
    least_left = std::min(least_left, left);
  }
}

/// f() on another fiber, when the caller has begun to wait.
template <class F>
auto soon(F f) {
  return heddle::spawn([f] {
    heddle::this_fiber::sleep_for(2ms);
    f();
  });
}

/// The same at the limit.
template <void (*what)(), void (*prepare)() = nothing>
void check(const char* name, int times = 1) {
  check_above<what, prepare>(name, times, 0);
}

/// The same for an entry that looks for so much room itself: at the limit, where it has to go elsewhere, and from where
/// it just fits.
template <void (*what)(), void (*prepare)() = nothing>
void check_with_room(const char* name, std::size_t room) {
  check<what, prepare>(name);
  for (std::size_t frames = 0; frames <= 512; frames += 16) check_above<what, prepare>(name, 1, room + frames);
}

// What there is to measure, a file each. Called on a fiber, again and again.
void runtime();
void locks();
void conditions();
void channels();
void groups();
void sockets();

}  // namespace heddle::testing::reserve
