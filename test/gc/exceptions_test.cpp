// SPDX-License-Identifier: BSL-1.0
//
// Objects to which only an exception leads: on its way to a handler, in a handler, in an std::exception_ptr.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <exception>
#include <future>
#include <stdexcept>
#include <thread>
#include <vector>

#include "dying.hpp"
#include "heddle/fiber.hpp"
#include "heddle/run.hpp"
#include "heddle/this_fiber.hpp"
#include "support/crew.hpp"
#include "support/scale.hpp"

namespace {

namespace gc = heddle::gc;
using namespace std::chrono_literals;
using heddle::testing::collect_until;
using heddle::testing::expect;
using heddle::testing::far_below;
using heddle::testing::times;

struct mortal {
  explicit mortal(int n) : value(n) {}
  ~mortal() {
    value = 0;
    ++over;
  }
  int value;
  static inline std::atomic<int> over{0};
};

struct with_ptr {
  gc::ptr<mortal> object;
};
struct with_pointer {
  mortal* object;
};
struct with_many {
  char name[9] = "many";
  std::array<mortal*, 20'000> objects{};
};

void throw_one(with_ptr*) { throw with_ptr{gc::make<mortal>(42)}; }
void throw_one(with_pointer*) { throw with_pointer{gc::make<mortal>(42)}; }

/// Calls f far below, and leaves nothing of what it throws in the caller's frame.
template <class Exception, class F>
[[gnu::noinline]] bool leads_to_object(F f) {
  bool whole = false;
  far_below([&] {
    try {
      f();
    } catch (const Exception& e) {
      for (int i = 0; i != 2; ++i) gc::collect();
      whole = e.object->value == 42;
    }
  });
  return whole;
}

/// Collects when its scope ends, by an exception for example.
struct collects_at_end {
  ~collects_at_end() {
    for (int i = 0; i != 2; ++i) gc::collect();
  }
};

bool dies() {
  return collect_until([] { return mortal::over == 1; });
}

template <class Exception>
void through_a_destructor() {
  mortal::over = 0;
  expect(leads_to_object<Exception>([] {
    const collects_at_end c;
    far_below([] { throw_one(static_cast<Exception*>(nullptr)); });
  }));
  expect(mortal::over == 0);
  expect(dies());
}

/// In memory of malloc.
using kept = std::vector<std::exception_ptr>;

template <class Exception>
kept keep_one() {
  kept all(1);
  far_below([&] {
    try {
      throw_one(static_cast<Exception*>(nullptr));
    } catch (...) {
      all[0] = std::current_exception();
    }
  });
  return all;
}

template <class Exception>
void held_by_pointer() {
  mortal::over = 0;
  kept all = keep_one<Exception>();
  for (int round = 0; round != 3; ++round) {
    for (int i = 0; i != 3; ++i) gc::collect();
    expect(mortal::over == 0);
    expect(leads_to_object<Exception>([&] { std::rethrow_exception(all[0]); }));
  }
  all.clear();
  expect(dies());
}

template <class Exception>
void out_of_a_fiber() {
  mortal::over = 0;
  auto fiber = heddle::spawn([] { far_below([] { throw_one(static_cast<Exception*>(nullptr)); }); });
  heddle::this_fiber::sleep_for(5ms);
  for (int i = 0; i != 3; ++i) gc::collect();
  expect(mortal::over == 0);
  expect(leads_to_object<Exception>([&] { fiber.join(); }));
  fiber = {};
  expect(dies());
}

// --- a thread that the collector waits for --------------------------------------------------------------------------

enum class step { begun, both_wait, thrown, passed, collected };

void block_signals() {
  sigset_t all;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
}
void let_signals_through() {
  sigset_t all;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_UNBLOCK, &all, nullptr);
}
/// Returns when the collector has sent one, which the thread blocks.
void await_signal() {
  for (;; std::this_thread::sleep_for(1ms)) {
    sigset_t all;
    ::sigpending(&all);
    for (int s = SIGRTMIN; s <= SIGRTMAX; ++s)
      if (::sigismember(&all, s) == 1) return;
  }
}

/// One thread throws while the collector waits for it, having scanned the stack of the other, which was made later.
struct hand_over {
  void go_on(step s) { at = s; }
  void wait_until(step s) const {
    while (at < s) std::this_thread::sleep_for(1ms);
  }
  /// The one whose stack has not been scanned.
  void throw_late(std::thread& receiver) {
    try {
      const with_pointer e{gc::make<mortal>(42)};
      block_signals();
      receiver = std::thread([this] { receive(); });
      await_signal();
      throw e;
    } catch (...) {
      all[0] = std::current_exception();
    }
    go_on(step::thrown);
  }
  /// The other.
  void receive() {
    let_signals_through();
    gc::make<int>();
    go_on(step::both_wait);
    wait_until(step::thrown);
    takes_out ? take_out() : leave_it();
  }
  void take_out() {
    const mortal* object = nullptr;
    try {
      std::rethrow_exception(all[0]);
    } catch (const with_pointer& e) {
      object = e.object;
    }
    all.clear();
    wait_for_end();
    was_whole = object->value == 42;
  }
  void leave_it() {
    wait_for_end();
    was_whole = leads_to_object<with_pointer>([&] { std::rethrow_exception(all[0]); });
    all.clear();
  }
  void wait_for_end() {
    go_on(step::passed);
    wait_until(step::collected);
    std::this_thread::sleep_for(20ms);  // for its destructor
  }

  const bool takes_out;
  kept all{1};
  std::atomic<step> at{step::begun};
  std::atomic<bool> was_whole{false};
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(exceptions, heddle::testing::collected_check)

BOOST_AUTO_TEST_CASE(between_throw_and_handler) {
  through_a_destructor<with_ptr>();
  through_a_destructor<with_pointer>();
  heddle::run([] {
    through_a_destructor<with_ptr>();
    through_a_destructor<with_pointer>();
  });
}

BOOST_AUTO_TEST_CASE(in_a_pointer_to_an_exception) {
  held_by_pointer<with_ptr>();
  held_by_pointer<with_pointer>();
  heddle::run([] {
    held_by_pointer<with_ptr>();
    held_by_pointer<with_pointer>();
  });
}

BOOST_AUTO_TEST_CASE(made_without_a_throw) {
  mortal::over = 0;
  kept all(1);
  far_below([&] { all[0] = std::make_exception_ptr(with_pointer{gc::make<mortal>(42)}); });
  for (int i = 0; i != 3; ++i) gc::collect();
  BOOST_TEST(mortal::over == 0);
  BOOST_TEST(leads_to_object<with_pointer>([&] { std::rethrow_exception(all[0]); }));
  all.clear();
  BOOST_TEST(dies());
}

/// The C++ library passes it on.
BOOST_AUTO_TEST_CASE(in_a_future_of_std) {
  mortal::over = 0;
  auto result =
      std::async(std::launch::async, [] { far_below([] { throw_one(static_cast<with_pointer*>(nullptr)); }); });
  result.wait();
  for (int i = 0; i != 3; ++i) gc::collect();
  BOOST_TEST(mortal::over == 0);
  BOOST_TEST(leads_to_object<with_pointer>([&] { result.get(); }));
  BOOST_TEST(dies());
}

BOOST_AUTO_TEST_CASE(joined_by_another_fiber) {
  heddle::run([] {
    out_of_a_fiber<with_ptr>();
    out_of_a_fiber<with_pointer>();
  });
}

BOOST_AUTO_TEST_CASE(nested) {
  mortal::over = 0;
  kept all(1);
  far_below([&] {
    try {
      try {
        throw_one(static_cast<with_pointer*>(nullptr));
      } catch (...) {
        std::throw_with_nested(std::runtime_error("outer"));
      }
    } catch (...) {
      all[0] = std::current_exception();
    }
  });
  for (int i = 0; i != 3; ++i) gc::collect();
  BOOST_TEST(mortal::over == 0);
  BOOST_TEST(leads_to_object<with_pointer>([&] {
    try {
      std::rethrow_exception(all[0]);
    } catch (const std::exception& e) {
      std::rethrow_if_nested(e);
    }
  }));
  all.clear();
  BOOST_TEST(dies());
}

/// Beyond what is read of one that is caught, and its end.
BOOST_AUTO_TEST_CASE(a_large_one) {
  mortal::over = 0;
  kept all(1);
  far_below([&] {
    try {
      with_many e;
      e.objects.front() = gc::make<mortal>(1);
      e.objects.back() = gc::make<mortal>(2);
      throw e;
    } catch (...) {
      all[0] = std::current_exception();
    }
  });
  for (int i = 0; i != 3; ++i) gc::collect();
  BOOST_TEST(mortal::over == 0);
  all.clear();
  BOOST_TEST(collect_until([] { return mortal::over == 2; }));
}

BOOST_AUTO_TEST_CASE(very_many) {
  constexpr int many = times(20'000);
  mortal::over = 0;
  kept all;
  for (int i = 0; i != many; ++i)
    far_below([&] { all.push_back(std::make_exception_ptr(with_pointer{gc::make<mortal>(i)})); });
  for (int i = 0; i != 3; ++i) gc::collect();
  BOOST_TEST(mortal::over == 0);
  for (std::size_t i = 0; i < all.size(); i += 2) all[i] = nullptr;
  BOOST_TEST(collect_until([] { return mortal::over >= many / 2 - 10; }));
  BOOST_TEST(mortal::over <= many / 2);
  all.clear();
  BOOST_TEST(collect_until([] { return mortal::over >= many - 10; }));
}

/// While the collector scans stacks, a plain pointer goes from one that it has not scanned yet into an exception. Out
/// of that it goes onto one that has been scanned, and the exception is gone before the collector looks at exceptions;
/// or it stays there.
BOOST_AUTO_TEST_CASE(from_a_stack_while_the_collector_scans_them) {
  for (const bool takes_out : {true, false}) {
    mortal::over = 0;
    hand_over h{takes_out};
    std::thread receiver;
    std::thread thrower([&] {
      far_below([&] { h.throw_late(receiver); });
      h.wait_until(step::passed);
      let_signals_through();
    });
    h.wait_until(step::both_wait);
    gc::collect();
    h.go_on(step::collected);
    thrower.join();
    receiver.join();
    BOOST_TEST(h.was_whole, "takes_out " << takes_out);
    BOOST_TEST(dies());
  }
}

/// While other threads throw.
BOOST_AUTO_TEST_CASE(forks) {
  std::atomic<bool> over{false};
  std::vector<std::thread> throwing;
  for (int i = 0; i != 2; ++i)
    throwing.emplace_back([&] {
      while (!over) expect(leads_to_object<with_pointer>([] { throw_one(static_cast<with_pointer*>(nullptr)); }));
    });
  kept all = keep_one<with_pointer>();
  int failed = 0;
  for (int i = 0; i != times(50); ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::alarm(20);
      for (int k = 0; k != 3; ++k) gc::collect();
      ::_exit(leads_to_object<with_pointer>([&] { std::rethrow_exception(all[0]); }) ? 0 : 1);
    }
    int status = -1;
    if (::waitpid(child, &status, 0) != child || status != 0) ++failed;
  }
  over = true;
  for (auto& t : throwing) t.join();
  BOOST_TEST(failed == 0);
}

BOOST_AUTO_TEST_SUITE_END()
