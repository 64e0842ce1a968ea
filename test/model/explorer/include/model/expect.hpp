// SPDX-License-Identifier: BSL-1.0
//
// Explorations as Boost.Test checks.
#pragma once

#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <sstream>
#include <string>

#include "model/model.hpp"

namespace model {

namespace detail {
inline std::string test_name() { return boost::unit_test::framework::current_test_case().full_name(); }

inline std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

inline std::string figures(const result& r) {
  std::ostringstream out;
  out << test_name() << ": " << r.executions << " executions" << (r.complete ? " (all)" : "") << ", " << r.steps
      << " steps, " << r.seconds << " s";
  return out.str();
}
}  // namespace detail

/// The program is right: no execution fails. Otherwise prints how to run the failing one again.
template <class F>
result expect_ok(const options& o, F f) {
  const result r = explore(o, f);
  BOOST_TEST_MESSAGE(detail::figures(r));
  BOOST_CHECK_MESSAGE(!r.failed, r.message << "\n"
                                           << r.trace << "reproduce with: " << r.seed
                                           << " <this program> --run_test=" << detail::test_name());
  return r;
}

/// The program has a bug that is found, whose message contains `text`, and whose seed leads to it again. By chance it
/// may take twenty times the executions given: any change of the product draws anew when a bug is found that takes some
/// ten thousand on average, and only one that is not found costs them all.
template <class F>
result expect_bug(const options& o, F f, const std::string& text = "") {
  options patient = o;
  if (o.strategy != strategy::exhaustive) patient.executions *= 20;
  const result r = explore(patient, f);
  BOOST_TEST_MESSAGE(detail::figures(r) << ", finds: " << detail::first_line(r.message) << "; " << r.seed);
  BOOST_CHECK_MESSAGE(r.failed, "the bug was not found in " << r.executions << " executions");
  if (!r.failed) return r;
  BOOST_CHECK_MESSAGE(r.message.find(text) != std::string::npos, "another bug than '"
                                                                     << text << "' was found: " << r.message << "\n"
                                                                     << r.trace);
  if (std::getenv("HEDDLE_MODEL") != nullptr) BOOST_TEST_MESSAGE(r.message << "\n" << r.trace);
  if (!o.same_again) return r;
  const result again = replay(o, r.seed, f);
  BOOST_CHECK_MESSAGE(again.failed, r.seed << " does not lead to the bug again: " << r.message << "\n" << r.trace);
  if (again.failed) BOOST_CHECK_EQUAL(detail::first_line(again.message), detail::first_line(r.message));
  return r;
}

/// Runs f when it is destroyed or joined: a model thread from a lambda.
template <class F>
class thread {
 public:
  explicit thread(F f, const char* name = "thread")
      : f_(std::move(f)), thread_([](void* p) { static_cast<thread*>(p)->f_(); }, this, name) {}
  thread(const thread&) = delete;
  thread& operator=(const thread&) = delete;
  ~thread() {
    if (thread_.joinable()) thread_.join();
  }
  void join() { thread_.join(); }

 private:
  F f_;
  heddle::detail::platform::thread thread_;
};

}  // namespace model
