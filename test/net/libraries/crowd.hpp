// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstdlib>
#include <string>
#include <vector>

#include "heddle/heddle.hpp"

namespace libraries_test {

/// Where the server of the test is: test/net/servers/with says so.
inline std::string server() {
  const char* const where = std::getenv("HEDDLE_TEST_SERVER");
  BOOST_TEST_REQUIRE(where != nullptr, "to be run by test/net/servers/with");
  return where;
}

/// Fibers that use a library which knows nothing of fibers. There is one processor, and no monitor to take it away: if
/// a call of the library held it, nobody else would go on, and the test would never end.
class crowd {
 public:
  static constexpr int size = 200;

  /// Called by each fiber before the call that lasts until open() has been called. May be called again.
  void arrive() { ++arrived_; }
  /// Notes a mistake of a fiber: Boost.Test is for one thread at a time.
  void expect(bool right, const char* what) {
    if (right) return;
    ++wrong_;
    const char* none = nullptr;
    first_.compare_exchange_strong(none, what);
  }

  /// each(i) in 200 fibers; open() when all have arrived and others have gone on beside them: another fiber has
  /// counted to 20, a millisecond each.
  template <class Each, class Open>
  void run(Each each, Open open) {
    using namespace std::chrono_literals;
    const auto main = [&] {
      std::atomic<bool> over{false};
      std::atomic<int> ticks{0};
      auto ticker = heddle::spawn([&] {
        for (; !over; ++ticks) heddle::this_fiber::sleep_for(1ms);
      });
      std::vector<heddle::join_handle<void>> all;
      for (int i = 0; i != size; ++i) all.push_back(heddle::spawn([&, i] { each(i); }));
      while (arrived_ < size) heddle::this_fiber::sleep_for(1ms);
      const int before = ticks;
      while (ticks < before + 20) heddle::this_fiber::sleep_for(1ms);
      open();
      for (auto& f : all) f.join();
      over = true;
      ticker.join();
    };
    heddle::run(main, {.procs = 1, .monitor = false});
    BOOST_TEST(wrong_ == 0, wrong_ << " mistakes, the first: " << first_);
  }

 private:
  std::atomic<int> arrived_{0};
  std::atomic<int> wrong_{0};
  std::atomic<const char*> first_{nullptr};
};

}  // namespace libraries_test
