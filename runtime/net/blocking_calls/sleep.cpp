// SPDX-License-Identifier: BSL-1.0
//
// Calls that only wait for time. They always block, so there is nothing to try.
#include <time.h>

#include "calls.hpp"
#include "served.hpp"

namespace heddle::blocking_calls {
namespace {

constinit next_function next_nanosleep{"nanosleep", &::nanosleep};
constinit next_function next_clock_nanosleep{"clock_nanosleep", &::clock_nanosleep};
constinit next_function next_usleep{"usleep", &::usleep};
constinit next_function next_sleep{"sleep", &::sleep};

template <class Real>
auto asleep(const blocked_calls& runtime, Real real) {
  const lent_processor lent(runtime);
  return real();
}

}  // namespace

void find_sleep_functions() noexcept {
  next_nanosleep.find();
  next_clock_nanosleep.find();
  next_usleep.find();
  next_sleep.find();
}

}  // namespace heddle::blocking_calls

using namespace heddle::blocking_calls;

HEDDLE_CALL int nanosleep(const timespec* time, timespec* left) {
  auto* const next = next_nanosleep.get();
  const blocked_calls* const runtime = fibers_runtime();
  if (runtime == nullptr) return next(time, left);
  return asleep(*runtime, [=] { return next(time, left); });
}

HEDDLE_CALL int clock_nanosleep(clockid_t clock, int flags, const timespec* time, timespec* left) {
  auto* const next = next_clock_nanosleep.get();
  const blocked_calls* const runtime = fibers_runtime();
  if (runtime == nullptr) return next(clock, flags, time, left);
  return asleep(*runtime, [=] { return next(clock, flags, time, left); });
}

HEDDLE_CALL int usleep(useconds_t time) {
  auto* const next = next_usleep.get();
  const blocked_calls* const runtime = fibers_runtime();
  if (runtime == nullptr || time == 0) return next(time);
  return asleep(*runtime, [=] { return next(time); });
}

HEDDLE_CALL unsigned sleep(unsigned seconds) {
  auto* const next = next_sleep.get();
  const blocked_calls* const runtime = fibers_runtime();
  if (runtime == nullptr || seconds == 0) return next(seconds);
  return asleep(*runtime, [=] { return next(seconds); });
}
