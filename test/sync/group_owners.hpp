// SPDX-License-Identifier: BSL-1.0
//
// What the tests of groups share.
#pragma once

#include <boost/test/unit_test.hpp>
#include <chrono>
#include <exception>
#include <stop_token>
#include <string>

#include "heddle/this_fiber.hpp"
#include "support/crew.hpp"

namespace heddle::testing {

/// Runs f as each kind of owner of a group: on a fiber with 1 and 2 processors, and on a plain thread beside a runtime.
template <class F>
void as_each_owner(F f) {
  for (const setting& s : {setting{kind::fibers, 1}, setting{kind::fibers, 2}, setting{kind::threads, 2}}) {
    BOOST_TEST_MESSAGE("owner: " << s);
    with_crew(s, [&](crew& c) { c.start(f); });
  }
}

/// False if it was stopped.
inline bool sleep_long(std::stop_token stop) { return this_fiber::sleep_for(std::chrono::hours(1), stop); }

/// The message of what f throws.
template <class F>
std::string thrown_by(F f) {
  try {
    f();
  } catch (const std::exception& e) {
    return e.what();
  }
  return "nothing";
}

}  // namespace heddle::testing
