// SPDX-License-Identifier: BSL-1.0
//
// What tests of locks share: the named requirements of std, and how a holder gets to another thread.
#pragma once

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <concepts>
#include <stop_token>
#include <thread>

#include "heddle/blocking.hpp"
#include "heddle/this_fiber.hpp"

namespace heddle::testing {

template <class M>
concept lockable = requires(M m) {
  { m.lock() } -> std::same_as<void>;
  { m.try_lock() } -> std::same_as<bool>;
  { m.unlock() } -> std::same_as<void>;
  requires noexcept(m.unlock()) && !std::copyable<M> && !std::movable<M> && std::default_initializable<M>;
};

template <class M>
concept timed_lockable = lockable<M> && requires(M m) {
  { m.try_lock_for(std::chrono::milliseconds(1)) } -> std::same_as<bool>;
  { m.try_lock_for(std::chrono::duration<double>(1)) } -> std::same_as<bool>;
  { m.try_lock_until(std::chrono::steady_clock::now()) } -> std::same_as<bool>;
  { m.try_lock_until(std::chrono::system_clock::now()) } -> std::same_as<bool>;
};

template <class M>
concept shared_lockable = lockable<M> && requires(M m) {
  { m.lock_shared() } -> std::same_as<void>;
  { m.try_lock_shared() } -> std::same_as<bool>;
  { m.unlock_shared() } -> std::same_as<void>;
};

template <class M>
concept shared_timed_lockable = shared_lockable<M> && timed_lockable<M> && requires(M m) {
  { m.try_lock_shared_for(std::chrono::milliseconds(1)) } -> std::same_as<bool>;
  { m.try_lock_shared_until(std::chrono::steady_clock::now()) } -> std::same_as<bool>;
  { m.try_lock_shared_until(std::chrono::system_clock::now()) } -> std::same_as<bool>;
};

/// Can be waited for until a stop is requested.
template <class M>
concept stop_lockable = lockable<M> && requires(M m, std::stop_token stop) {
  { m.lock(stop) } -> std::same_as<bool>;
};

/// Whether nobody holds it or waits for it.
template <class M>
bool is_free(M& m) {
  const bool free = m.try_lock();
  if (free) m.unlock();
  return free;
}

/// Brings the calling fiber to another kernel thread; another fiber must be running all the time. False if that does
/// not happen within 20 s.
///
/// It blocks longer each time, until its processor is taken: the monitor leaves it to whose calls are short, and looks
/// late where other processes keep the CPUs busy.
inline bool move_to_another_thread() {
  const long here = ::syscall(SYS_gettid);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  auto blocked_for = std::chrono::microseconds(200);
  while (::syscall(SYS_gettid) == here && std::chrono::steady_clock::now() < end) {
    blocking([=] { std::this_thread::sleep_for(blocked_for); });
    this_fiber::yield();
    blocked_for = std::min<std::chrono::microseconds>(2 * blocked_for, std::chrono::milliseconds(100));
  }
  return ::syscall(SYS_gettid) != here;
}

/// How long f() takes.
template <class F>
std::chrono::nanoseconds time_of(F&& f) {
  const auto start = std::chrono::steady_clock::now();
  f();
  return std::chrono::steady_clock::now() - start;
}

}  // namespace heddle::testing
