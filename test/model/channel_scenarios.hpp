// SPDX-License-Identifier: BSL-1.0
//
// What the explorer's tests of channels have in common.
#pragma once

#include <boost/test/unit_test.hpp>
#include <memory>
#include <stdexcept>

#include "heddle/channel.hpp"
#include "heddle/detail/thread_mutex.hpp"
#include "heddle/detail/wait.hpp"
#include "model/data.hpp"
#include "model/expect.hpp"
#include "openings.hpp"

namespace {

using heddle::channel;

constexpr model::options threads = openings::threads_for(15'000);
constexpr model::options fibers = openings::fibers_for(2'000);

using openings::warm_up;
BOOST_TEST_GLOBAL_FIXTURE(warm_up);

using number = std::unique_ptr<model::data<int>>;
number make(int n) { return std::make_unique<model::data<int>>(n); }

/// What went in and what came out; checks that they are the same when all are done.
struct ledger {
  model::data<int> sent{0}, received{0};
  heddle::detail::thread_mutex lock;

  void note_sent(int n) {
    heddle::detail::thread_lock hold(lock);
    sent = sent + n;
  }
  template <class Result>
  void note(const Result& n) {
    if (!n) return;
    heddle::detail::thread_lock hold(lock);
    received = received + **n;
  }
  void settle(channel<number>& c) {
    note(c.try_receive());
    note(c.try_receive());
    model::check(sent == received, "a value was lost or came twice");
  }
};

/// A value that a failed send has left with its owner.
void check_kept(const number& value) { model::check(value != nullptr, "the value of a send that failed is gone"); }

/// A value whose first move throws, and leaves it as it is.
struct touchy {
  bool* throws;
  int n;
  touchy(bool* t, int value) : throws(t), n(value) {}
  touchy(touchy&& other) : throws(other.throws), n(other.n) {
    if (*throws) {
      *throws = false;
      throw std::runtime_error("touchy");
    }
    other.n = 0;
  }
};

using scenario = void (*)();
using openings::right;
using openings::wrong;

}  // namespace
