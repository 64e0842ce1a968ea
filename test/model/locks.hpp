// SPDX-License-Identifier: BSL-1.0
//
// What the explorations of locks share.
#pragma once

#include <boost/test/unit_test.hpp>
#include <chrono>
#include <mutex>
#include <optional>

#include "heddle/detail/wait.hpp"
#include "model/data.hpp"
#include "model/expect.hpp"
#include "openings.hpp"

namespace locks {

inline constexpr model::options threads = openings::threads_for(30'000);
inline constexpr model::options every = openings::every_order_for(30'000);
inline constexpr model::options fibers = openings::fibers_for(2'000);

using openings::warm_up;
inline constexpr auto soon =
    std::chrono::microseconds(3);  // some looks at the clock, which take up to a microsecond each

/// What a lock guards: fails if two write at once, or one reads while another writes.
struct guarded {
  model::data<int> value{0};
  int written = 0;  // by those who have done it, to compare

  void write() {
    value = value + 1;
    ++written;
  }
  void read() const { (void)value.get(); }
};

template <class Mutex>
void stop_meets_unlock() {
  Mutex m;
  guarded g;
  heddle::detail::stop_source stop;
  const heddle::detail::stop_token token = stop.get_token();
  {
    model::thread stoppable([&] {
      if (!m.lock(token)) return;
      g.write();
      m.unlock();
    });
    model::thread patient([&] {
      const std::lock_guard hold(m);
      g.write();
    });
    m.lock();
    stop.request_stop();
    g.write();
    m.unlock();
  }
  model::check(m.try_lock(), "left locked");
  m.unlock();
}

/// Nobody unlocks before the stoppable one has left.
template <class Mutex>
void stop_alone_wakes() {
  Mutex m;
  heddle::detail::stop_source stop;
  const heddle::detail::stop_token token = stop.get_token();
  m.lock();
  {
    model::thread stoppable([&] { model::check(!m.lock(token), "locked twice"); });
    stop.request_stop();
  }
  m.unlock();
}

inline void right(void (*scenario)()) {
  model::expect_ok(threads, scenario);
  model::expect_ok(every, scenario);
}
inline void right(const model::options& o, void (*scenario)()) { model::expect_ok(o, scenario); }
inline void wrong(model::plant bug, void (*scenario)(), const char* text = "") {
  openings::wrong(bug, threads, scenario, text);
}

}  // namespace locks
