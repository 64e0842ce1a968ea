// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/eventfd.h>

#include <boost/test/unit_test.hpp>
#include <chrono>

#include "heddle/detail/polled.hpp"
#include "heddle/run.hpp"

namespace heddle::testing {

/// Before all tests: lets the process make what it keeps for its poller, which no test leaves behind then.
struct poller_in_use {
  poller_in_use() {
    heddle::run([] {
      const detail::polled nothing(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
      detail::polled::use now(nothing);
      now.blocked(detail::poll_side::read, now.readiness(detail::poll_side::read));
      now.wait(detail::poll_side::read, {.deadline = detail::deadline_after(std::chrono::milliseconds(1))});
    });
  }
};

BOOST_TEST_GLOBAL_FIXTURE(poller_in_use);

}  // namespace heddle::testing
