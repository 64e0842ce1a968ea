// SPDX-License-Identifier: BSL-1.0
//
// How those who wait meet a reactor: its inbox, and the errands that lie on their stacks. Asio itself is not here: a
// thread that sleeps at a semaphore stands for the io_context.
#include <boost/test/unit_test.hpp>
#include <functional>
#include <optional>

#include "heddle/asio/detail/errand.hpp"
#include "heddle/asio/detail/inbox.hpp"
#include "heddle/semaphore.hpp"
#include "model/data.hpp"
#include "model/expect.hpp"
#include "openings.hpp"

namespace {

using heddle::asio::detail::command;
using heddle::asio::detail::errand;
using heddle::asio::detail::inbox;

constexpr model::options threads = openings::threads_for(20'000);
constexpr model::options every = openings::every_order_for(20'000);

using openings::warm_up;
BOOST_TEST_GLOBAL_FIXTURE(warm_up);

void right(void (*scenario)()) {
  model::expect_ok(threads, scenario);
  model::expect_ok(every, scenario);
}
void wrong(model::plant bug, void (*scenario)(), const char* text = "") {
  openings::wrong(bug, threads, scenario, text);
}

/// The thread that runs commands, until it is destroyed.
class owner {
 public:
  owner() : thread_([this] { run(); }, "owner") {}
  ~owner() {
    quit last(*this);
    send(last);
    thread_.join();
  }
  void send(command& c) noexcept {
    if (inbox_.put(c)) calls_.release();
  }

 private:
  struct quit : command {
    explicit quit(owner& o) noexcept : command(run_it), of(o) {}
    static void run_it(command& c) noexcept { static_cast<quit&>(c).of.ends_ = true; }
    owner& of;
  };
  void run() {
    while (!ends_) {
      calls_.acquire();
      inbox_.run_all();
    }
  }
  inbox inbox_;
  heddle::semaphore calls_{0};
  bool ends_ = false;
  model::thread<std::function<void()>> thread_;
};

// --- the inbox -----------------------------------------------------------------------------------------------------

/// What a sender wrote; `last` is the number of its command that ran last.
struct numbered : command {
  numbered(model::data<int>& l, int n) noexcept : command(check_turn), last(l), number(n) {}
  static void check_turn(command& c) noexcept {
    auto& self = static_cast<numbered&>(c);
    model::check(self.last == self.number - 1, "a command ran twice or out of order");
    self.last = self.number.get();
  }
  model::data<int>& last;
  model::data<int> number;
};

void two_each_of_three() {
  model::data<int> last[3] = {0, 0, 0};
  std::optional<numbered> commands[3][2];
  {
    owner o;
    const auto send_both = [&](int sender) {
      for (int n = 0; n != 2; ++n) o.send(commands[sender][n].emplace(last[sender], n + 1));
    };
    model::thread one([&] { send_both(1); }, "one");
    model::thread two([&] { send_both(2); }, "two");
    send_both(0);
  }
  for (const model::data<int>& l : last) model::check(l == 2, "a command has not run");
}

// --- errands -------------------------------------------------------------------------------------------------------

/// An operation that the owner begins and that another thread completes.
struct operation : errand {
  operation() noexcept : errand(begin, 2), cancel(*this) {}
  static void begin(command& c) noexcept {
    auto& self = static_cast<operation&>(c);
    self.begun = true;
    self.let_go();
  }
  void complete() noexcept {
    result = 42;
    let_go();
  }

  struct cancel_command : command {
    explicit cancel_command(operation& o) noexcept : command(run_it), of(o) {}
    static void run_it(command& c) noexcept {
      operation& of = static_cast<cancel_command&>(c).of;
      of.was_cancelled = true;
      of.let_go();
    }
    operation& of;
  };
  model::data<bool> begun{false};
  model::data<bool> was_cancelled{false};
  model::data<int> result{0};
  cancel_command cancel;
};

void completed_elsewhere() {
  owner o;
  const auto run_one = [&o] {
    std::optional<operation> op(std::in_place);
    o.send(*op);
    model::thread completer([to = &*op] { to->complete(); }, "completer");
    op->await();
    model::check(op->begun.get() && op->result == 42, "returned before the operation was over");
    op.reset();  // though the completer may still be returning
  };
  model::thread other(run_one, "other");
  run_one();
}

void deadline_meets_completion() {
  owner o;
  std::optional<operation> op(std::in_place);
  o.send(*op);
  model::thread completer([to = &*op] { to->complete(); }, "completer");
  const auto soon = heddle::detail::deadline_after(std::chrono::nanoseconds(2'000));
  const bool cancelled = op->await({.deadline = soon}, op->cancel, [&o](command& c) { o.send(c); });
  model::check(op->begun.get() && op->result == 42, "returned before the operation was over");
  model::check(cancelled == op->was_cancelled, "returned before the operation was cancelled");
  op.reset();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(as_it_is)
BOOST_AUTO_TEST_CASE(inbox) { right(two_each_of_three); }
BOOST_AUTO_TEST_CASE(errand) { right(completed_elsewhere); }
BOOST_AUTO_TEST_CASE(errand_with_deadline) { right(deadline_meets_completion); }
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(planted)
BOOST_AUTO_TEST_CASE(inbox_put_relaxed) { wrong(model::plant::inbox_put_relaxed, two_each_of_three, "race"); }
BOOST_AUTO_TEST_CASE(inbox_taken_in_two_steps) { wrong(model::plant::inbox_taken_in_two_steps, two_each_of_three); }
BOOST_AUTO_TEST_CASE(inbox_called_by_first_look) {
  wrong(model::plant::inbox_called_by_first_look, two_each_of_three, "deadlock");
}
BOOST_AUTO_TEST_CASE(cancel_holds_nothing) { wrong(model::plant::cancel_holds_nothing, deadline_meets_completion); }
BOOST_AUTO_TEST_SUITE_END()
