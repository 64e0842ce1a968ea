// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/test/unit_test.hpp>
#include <cstddef>
#include <ostream>
#include <thread>
#include <vector>

#include "heddle/blocking.hpp"
#include "heddle/fiber.hpp"
#include "heddle/run.hpp"
#include "heddle/this_fiber.hpp"

namespace heddle::testing {

/// Who takes part in a test of a primitive that serves fibers and plain threads alike.
enum class kind {
  fibers,   ///< fibers of one runtime
  threads,  ///< plain threads
  mixed,    ///< every other one a plain thread
};

inline std::ostream& operator<<(std::ostream& out, kind k) {
  return out << (k == kind::fibers ? "fibers" : k == kind::threads ? "threads" : "mixed");
}

/// A setting to run a test in; a test loops over all of them.
struct setting {
  kind who;
  unsigned procs;
  bool monitor = true;
  friend std::ostream& operator<<(std::ostream& out, const setting& s) {
    return out << s.who << " on " << s.procs << " processors";
  }
};
inline constexpr setting all_settings[] = {
    {kind::fibers, 1}, {kind::fibers, 2}, {kind::threads, 2}, {kind::mixed, 1}, {kind::mixed, 2}};

/// One processor that nobody takes away: of two fibers never both run, so that they may share plain variables and
/// checks of Boost.Test. With a monitor, a fiber that a busy machine holds up loses its processor, and runs on beside
/// the next.
inline constexpr setting one_at_a_time{kind::fibers, 1, false};

/// One at a time: lets every other fiber run until it blocks.
inline void settle() {
  for (int i = 0; i < 50; ++i) this_fiber::yield();
}

/// BOOST_TEST for code that runs beside other checks: touches Boost.Test, which is for one thread, only if it fails.
inline void expect(bool holds, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  if (!holds) BOOST_ERROR(file << ":" << line << ": does not hold");
}

/// Starts fibers or threads and joins them all; start() and join() from outside of fibers.
class crew {
 public:
  explicit crew(kind who) : who_(who) {}
  ~crew() { join(); }

  template <class F>
  void start(F f) {
    const bool thread = who_ == kind::threads || (who_ == kind::mixed && count_ % 2 == 1);
    ++count_;
    if (thread)
      threads_.emplace_back(std::move(f));
    else
      fibers_.push_back(heddle::spawn(std::move(f)));
  }
  void join() {
    for (auto& f : fibers_) f.join();
    heddle::blocking([&] {
      for (auto& t : threads_) t.join();
    });
    threads_.clear();
    fibers_.clear();
  }

 private:
  kind who_;
  std::size_t count_ = 0;
  std::vector<std::thread> threads_;
  std::vector<heddle::join_handle<void>> fibers_;
};

/// Runs f(crew) on a fiber of a fresh runtime and joins the crew.
template <class F>
void with_crew(const setting& s, F&& f) {
  heddle::options o;
  o.procs = s.procs;
  o.monitor = s.monitor;
  heddle::run(
      [&] {
        crew c(s.who);
        f(c);
      },
      o);
}

}  // namespace heddle::testing
