// SPDX-License-Identifier: BSL-1.0
//
// A collector that passes over fibers which stand still (runtime/src/standing.hpp, watched_stacks.hpp). The fiber has a
// variable on its stack, into which another thread writes while it is parked, or it writes there itself between two
// waits. A scan that begins later has found the value, or the one before has.
//
// The explorer's kernel is told of writes by others only (page_watch.hpp): of a fiber that runs, its mark must tell.
#include <boost/test/unit_test.hpp>
#include <string>

#include "heddle/detail/fiber_roots.hpp"
#include "heddle/detail/wait.hpp"
#include "heddle/fiber.hpp"
#include "heddle/this_fiber.hpp"
#include "model/expect.hpp"
#include "page_watch.hpp"
#include "runtimes.hpp"
#include "standing.hpp"

namespace {

namespace platform = heddle::detail::platform;
using heddle::detail::standing_fibers;
using runtimes::nothing_left;
using runtimes::warm_up;

struct warm_up_all : warm_up {
  warm_up_all() {
    heddle::detail::fiber_pool::instance();
    heddle::detail::standing_notes::instance();
  }
};
BOOST_TEST_GLOBAL_FIXTURE(warm_up_all);

constexpr std::uintptr_t young = 0x7A67A6;
constexpr const char* overlooked = "an address in a stack was overlooked";

/// A variable on the stack of a fiber.
struct variable {
  volatile std::uintptr_t word = 0;
};

/// Looks for the value in that place only.
class reader final : public heddle::detail::word_visitor {
 public:
  explicit reader(const variable& v) : wanted_(&v) {}
  void words(const void* from, const void* to) noexcept override {
    const auto* const at = reinterpret_cast<const char*>(wanted_);
    if (at < static_cast<const char*>(from) || at >= static_cast<const char*>(to)) return;
    ++reads;
    found |= wanted_->word == young;
  }
  int reads = 0;
  bool found = false;

 private:
  const variable* const wanted_;
};

/// Where a fiber waits until it is woken by whoever comes.
struct place_to_wait {
  platform::atomic<heddle::detail::waiter*> there{nullptr};

  void sleep() {
    struct {
      place_to_wait& at;
      heddle::detail::waiter w{};  // of the fiber that makes it
    } self{*this};
    self.w.park(
        [](void* p) {
          auto& s = *static_cast<decltype(self)*>(p);
          s.at.there.store(&s.w, std::memory_order_release);
        },
        &self);
  }
  bool is_taken() { return there.load(std::memory_order_acquire) != nullptr; }
  void wake() {
    while (!is_taken()) heddle::this_fiber::yield();
    there.load(std::memory_order_acquire)->wake();
  }
};

/// One that stands still, and others that change that.
struct scene {
  variable* place = nullptr;
  place_to_wait first, second, starter;
  platform::atomic<int> stood{0};    // it has stood still for two scans
  platform::atomic<int> written{0};  // the value is there, and nowhere else
  platform::atomic<int> acted{0};    // the other thread has done its part
  std::size_t passed_over = 0;

  /// The fiber that is looked at.
  void stand(bool writes) {
    variable v;
    place = &v;
    first.sleep();
    if (writes) {
      v.word = young;
      written.store(1, std::memory_order_release);
    }
    second.sleep();
  }

  bool scan(reader& r, standing_fibers how) {
    heddle::detail::fiber_roots roots(r, how);
    bool all = false;
    for (int i = 0; i != 3 && !all; ++i) all = roots.scan_suspended(i != 0);
    passed_over += roots.passed_over();
    return all;
  }

  void collect() {
    while (!first.is_taken() || !starter.is_taken()) platform::yield_thread();
    reader before(*place);
    for (int i = 0; i != 2; ++i) scan(before, standing_fibers::frozen);
    stood.store(1, std::memory_order_release);
    reader last(*place);
    scan(last, standing_fibers::passed_over);  // freezes it
    const bool is_written = written.load(std::memory_order_acquire) != 0;
    reader now(*place);
    const bool all = scan(now, standing_fibers::passed_over);
    model::check(!all || !is_written || last.found || now.found, overlooked);
  }

  template <class Act>
  void run(bool writes, Act act) {
    {
      model::thread collector([&] {
        collect();
        starter.wake();
      });
      model::thread other([&] {
        while (stood.load(std::memory_order_acquire) == 0) platform::yield_thread();
        act();
        acted.store(1, std::memory_order_release);
      });
      heddle::run(
          [&] {
            auto f = heddle::spawn([&] { stand(writes); });
            starter.sleep();
            while (acted.load(std::memory_order_acquire) == 0) heddle::this_fiber::yield();  // it needs the stack
            if (!writes) first.wake();
            second.wake();
            f.join();
          },
          runtimes::with(1, false));
    }
    heddle::detail::standing_notes::instance().forget();
    nothing_left();
  }
};

/// Another thread writes into the frame of the parked fiber.
void written_by_another() {
  scene s;
  s.run(false, [&] {
    heddle::detail::page_watch::note_write(s.place);
    s.place->word = young;
    s.written.store(1, std::memory_order_release);
  });
}

/// The fiber goes on, writes and waits again.
void written_in_a_turn() {
  scene s;
  s.run(true, [&] { s.first.wake(); });
}

/// Nobody does anything: it is passed over.
void left_alone() {
  scene s;
  s.run(false, [] {});
  model::check(s.passed_over != 0, "nobody was passed over");
}

void right(void (*f)()) { model::expect_ok(runtimes::by_chance_times(3000), f); }
void wrong(model::plant p, void (*f)()) {
  model::options o = runtimes::by_chance_times(60'000);
  o.planted = p;
  const model::result r = model::explore(o, f);
  BOOST_TEST_MESSAGE(r.executions << " executions, finds: " << r.message.substr(0, r.message.find('\n')));
  BOOST_CHECK_MESSAGE(r.failed && r.message.find(overlooked) != std::string::npos,
                      "the bug was not found in " << r.executions << " executions");
}

}  // namespace

BOOST_AUTO_TEST_SUITE(as_it_is)
BOOST_AUTO_TEST_CASE(standing) { right(left_alone); }
BOOST_AUTO_TEST_CASE(written) { right(written_by_another); }
BOOST_AUTO_TEST_CASE(resumed) { right(written_in_a_turn); }
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(planted)
BOOST_AUTO_TEST_CASE(parked_stack_skipped_though_written) {
  wrong(model::plant::parked_stack_skipped_though_written, written_by_another);
}
BOOST_AUTO_TEST_CASE(protected_when_read) { wrong(model::plant::protected_when_read, written_by_another); }
BOOST_AUTO_TEST_CASE(runs_frozen) { wrong(model::plant::runs_frozen, written_in_a_turn); }
BOOST_AUTO_TEST_SUITE_END()
