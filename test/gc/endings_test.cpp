// SPDX-License-Identifier: BSL-1.0
//
// Destructors and cleanups that do what they may: collect, make objects, bring themselves back, cancel, throw; and very
// many at once.
#include <algorithm>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "dying.hpp"
#include "heddle/run.hpp"
#include "heddle/this_fiber.hpp"
#include "support/crew.hpp"
#include "support/death.hpp"
#include "support/scale.hpp"
#include "witness.hpp"

namespace {

namespace gc = heddle::gc;
using namespace std::chrono_literals;
using heddle::testing::collect_until;
using heddle::testing::collecting;
using heddle::testing::counted;
using heddle::testing::death_of;
using heddle::testing::expect;
using heddle::testing::far_below;
using heddle::testing::is_whole_list;
using heddle::testing::make_list;
using heddle::testing::times;
using heddle::testing::witness;

/// An element of a list, with a destructor.
struct chained {
  explicit chained(const gc::ptr<chained>& n) : next(n) {}
  ~chained() {
    if (next && next->ended) ++after_the_end;
    ended = true;
    ++over;
  }
  static void trace(gc::layout<chained>& l) { l(&chained::next); }

  gc::ptr<chained> next;
  bool ended = false;
  static inline std::atomic<int> over{0}, after_the_end{0};
};

/// Makes another of its kind, collects, and lets that one do the same.
struct heir {
  explicit heir(int n) : generations(n) {}
  ~heir() {
    if (generations > 0) far_below([this] { gc::make<heir>(generations - 1); });
    gc::collect();
    if (!is_whole_list(make_list(20))) ++damaged;
    ++over;
  }
  int generations;
  static inline std::atomic<int> over{0}, damaged{0};
};

/// Puts itself where all can reach it.
struct lazarus {
  explicit lazarus(std::uint64_t n) : number(n), list(make_list(n)) {}
  ~lazarus() {
    // Its list has died with it, and reads as null here.
    saw_null = list == nullptr;
    list = make_list(number);
    risen = this;
    ++over;
  }
  static void trace(gc::layout<lazarus>& l) { l(&lazarus::list); }

  std::uint64_t number;
  gc::ptr<witness> list;
  static inline gc::ptr<lazarus> risen;
  static inline std::atomic<int> over{0};
  static inline std::atomic<bool> saw_null{false};
};

/// Refers weakly to itself while it dies.
struct introvert {
  ~introvert() {
    gc::weak<introvert> again(this);
    alive_before = self.lock() != nullptr;
    alive_again = again.lock() != nullptr;
    inside_alive = gc::weak<int>(&number).lock() != nullptr;
    of_another_thread();
    later = again;
    ++over;
  }
  /// The thread stands for all to which the destructor gives the address.
  void of_another_thread() {
    std::thread([this] { elsewhere_alive = gc::weak<introvert>(this).lock() != nullptr; }).join();
  }
  static void trace(gc::layout<introvert>& l) { l(&introvert::self); }
  gc::weak<introvert> self;
  int number = 0;
  static inline gc::weak<introvert> later;
  static inline std::atomic<bool> alive_before, alive_again, inside_alive, elsewhere_alive;
  static inline std::atomic<int> over{0};
};

constexpr int many = 200'000;
/// Takes some time to be destroyed.
struct laborious {
  ~laborious() {
    const auto end = std::chrono::steady_clock::now() + 8us;
    while (std::chrono::steady_clock::now() < end) {
    }
    ++over;
  }
  char content[500] = {};
  static inline std::atomic<int> over{0};
};
struct blocked {
  ~blocked() {
    while (!go_on) std::this_thread::sleep_for(1ms);
    ++over;
  }
  char content[500] = {};
  static inline std::atomic<bool> go_on{true};
  static inline std::atomic<int> over{0};
};
/// Makes them one after the other; `most`: how many waited to be destroyed at a time.
template <class T>
void make_many(std::size_t& most) {
  for (int i = 0; i != 3; ++i) gc::collect();
  // Objects that wait to be destroyed count as alive: by the usual percentage a cycle finds as much again, and the next
  // one twice that.
  const unsigned percent = gc::set_percent(20);
  for (int i = 0; i != many; ++i) {
    far_below([] { gc::make<T>(); });
    if (i % 1000 == 0) most = std::max(most, gc::statistics().destructors_queued);
  }
  gc::set_percent(percent);
}

struct thrower {
  ~thrower() noexcept(false) { throw std::runtime_error("no way out"); }
};
/// Its destructor is noexcept, as most are.
struct silent_thrower {
  ~silent_thrower() { at_once(); }
  static void at_once() { throw std::logic_error("not even said"); }
};
struct with_cleanup {
  gc::ptr<with_cleanup> next;
};
/// Destroys a thread that nobody has joined.
struct forgetful {
  ~forgetful() {
    const std::thread t([] {});
  }
};

/// Whether that line was written, about a type of this file's. (Compilers differ in the name of this namespace.)
bool names(const heddle::testing::death& end, const std::string& what, const std::string& type) {
  const std::size_t from = end.text.find("heddle: " + what + ' ');
  if (from == std::string::npos) return false;
  const std::string line = end.text.substr(from, end.text.find('\n', from) - from);
  return line.ends_with("::" + type);
}

/// The words on stderr when the ending of an object that f makes ends the process.
template <class F>
heddle::testing::death death_by(F make) {
  return death_of([&] {
    far_below(make);
    collect_until([] { return false; });
  });
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(endings, heddle::testing::collected_check)

/// No destructor sees a peer whose own has run: it reads as null; and none needs the stack of another.
BOOST_AUTO_TEST_CASE(a_list_of_a_million_with_destructors) {
  constexpr int length = times(1'000'000);
  chained::over = chained::after_the_end = 0;
  std::thread([] {
    gc::ptr<chained> list;
    for (int i = 0; i != length; ++i) list = gc::make<chained>(list);
  }).join();
  BOOST_TEST(collect_until([] { return chained::over == length; }));
  BOOST_TEST(chained::after_the_end == 0);
}

BOOST_AUTO_TEST_CASE(destructors_make_objects_and_collect) {
  heir::over = heir::damaged = 0;
  far_below([] {
    for (int i = 0; i != 5; ++i) gc::make<heir>(8);
  });
  BOOST_TEST(collect_until([] { return heir::over == 5 * 9; }));
  BOOST_TEST(heir::damaged == 0);
}

BOOST_AUTO_TEST_CASE(destructors_on_fibers_make_objects_and_collect) {
  heir::over = heir::damaged = 0;
  heddle::run([] {
    far_below([] {
      for (int i = 0; i != 5; ++i) gc::make<heir>(8);
    });
    expect(collect_until([] { return heir::over == 5 * 9; }));
  });
  BOOST_TEST(heir::damaged == 0);
}

/// What a destructor stores lives on as memory whose destructor has run, with all that it refers to.
BOOST_AUTO_TEST_CASE(an_object_that_comes_back) {
  lazarus::over = 0;
  far_below([] { gc::make<lazarus>(9u); });
  BOOST_TEST(collect_until([] { return lazarus::over == 1; }));
  BOOST_TEST(lazarus::saw_null);
  for (int i = 0; i != 3; ++i) {
    gc::collect();
    far_below([] { make_list(1000); });
  }
  BOOST_TEST(lazarus::over == 1);
  far_below([] {
    BOOST_TEST(lazarus::risen->number == 9u);
    BOOST_TEST(is_whole_list(lazarus::risen->list));
    lazarus::risen = nullptr;
  });
  gc::collect();
  BOOST_TEST(lazarus::over == 1);
}

BOOST_AUTO_TEST_CASE(weak_references_to_one_that_dies) {
  introvert::over = 0;
  introvert::alive_before = introvert::alive_again = introvert::inside_alive = introvert::elsewhere_alive = true;
  far_below([] {
    const gc::ptr<introvert> o = gc::make<introvert>();
    o->self = o;
  });
  BOOST_TEST(collect_until([] { return introvert::over == 1; }));
  BOOST_TEST(!introvert::alive_before);
  BOOST_TEST((!introvert::alive_again && !introvert::inside_alive && !introvert::elsewhere_alive));
  far_below([] {
    BOOST_TEST(introvert::later.expired());
    introvert::later = nullptr;
  });
}

/// A constructor refers weakly to its own object: the destructor is not to run yet, but the object is not dying.
BOOST_AUTO_TEST_CASE(weak_references_to_one_that_begins) {
  struct beginner {
    beginner() : self(this) {}
    ~beginner() { ++over; }
    static void trace(gc::layout<beginner>& l) { l(&beginner::self); }
    gc::weak<beginner> self;
    std::atomic<int>& over = counted_ends();
    static std::atomic<int>& counted_ends() {
      static std::atomic<int> ends{0};
      return ends;
    }
  };
  const gc::ptr<beginner> o = gc::make<beginner>();
  BOOST_TEST((o->self.lock() == o));
}

/// While the collector frees spans of the smallest objects, their cleanups cancel themselves and each other.
BOOST_AUTO_TEST_CASE(cleanups_cancel_themselves_and_others) {
  constexpr std::size_t many = times(4000);
  static std::vector<gc::cleanup_handle> handles;
  static std::atomic<std::size_t> ran, taken_back;
  ran = taken_back = 0;
  handles.resize(many);
  {
    const collecting all_the_time;
    far_below([] {
      for (std::size_t i = 0; i != many; ++i) {
        const gc::ptr<char> o = gc::make<char>('c');
        handles[i] = gc::cleanup(o, [i, c = counted()] {
          ++ran;
          expect(!handles[i].cancel());
          if (i % 2 == 0 && handles[i + 1].cancel()) ++taken_back;
        });
      }
    });
    BOOST_TEST(collect_until([] { return ran + taken_back == many; }));
  }
  BOOST_TEST(ran >= many / 2);
  BOOST_TEST(counted::alive == 0);
  std::vector<gc::cleanup_handle>().swap(handles);
}

/// An address that an ending leaves in the registers of its thread keeps nothing, though the thread sleeps then.
BOOST_AUTO_TEST_CASE(an_address_in_a_vector_register) {
  static std::atomic<bool> ran;
  ran = false;
  far_below([] {
    gc::cleanup(gc::make<int>(), [] {
      far_below([] {
        counted* const o = gc::make<counted>().get();
        asm volatile("movq %0, %%xmm4\n\tmovq %0, %%xmm12" : : "r"(o) : "xmm4", "xmm12");
        if (__builtin_cpu_supports("avx512f")) asm volatile("vpbroadcastq %0, %%zmm20" : : "r"(o));
      });
      ran = true;
    });
  });
  BOOST_TEST(collect_until([] { return ran && counted::alive == 0; }));
}

/// The fiber or thread that makes objects faster than they can be destroyed waits for their destructors.
BOOST_AUTO_TEST_CASE(no_more_wait_than_a_bound) {
  laborious::over = 0;
  std::size_t most = 0;
  make_many<laborious>(most);
  BOOST_TEST(most > 0u);
  BOOST_TEST(most < many / 4 * 3);
  BOOST_TEST(collect_until([] { return laborious::over >= many - 1000; }));
}

BOOST_AUTO_TEST_CASE(no_more_wait_than_a_bound_of_fibers) {
  laborious::over = 0;
  std::size_t most = 0;
  heddle::run([&] {
    make_many<laborious>(most);
    expect(collect_until([] { return laborious::over >= many - 1000; }));
  });
  BOOST_TEST(most > 0u);
  BOOST_TEST(most < many / 4 * 3);
}

/// One that does not return holds up the others, but not those that make objects.
BOOST_AUTO_TEST_CASE(a_destructor_that_blocks) {
  blocked::go_on = false;
  blocked::over = 0;
  std::size_t most = 0;
  make_many<blocked>(most);
  BOOST_TEST(blocked::over == 0);
  BOOST_TEST(most > many / 2);
  blocked::go_on = true;
  BOOST_TEST(collect_until([] { return blocked::over >= many - 1000; }));
}

/// Nobody could handle it: the process says what it was, and ends.
BOOST_AUTO_TEST_CASE(a_destructor_that_throws) {
  const auto end = death_by([] { gc::make<thrower>(); });
  BOOST_TEST(end.signal == SIGABRT);
  BOOST_TEST(names(end, "an exception left the destructor of", "thrower: std::runtime_error: no way out"), end.text);
}

BOOST_AUTO_TEST_CASE(a_destructor_that_throws_though_it_is_noexcept) {
  const auto end = death_by([] { gc::make_array<silent_thrower>(3); });
  BOOST_TEST(end.signal == SIGABRT);
  BOOST_TEST(names(end, "an exception left the destructor of", "silent_thrower: std::logic_error: not even said"),
             end.text);
}

BOOST_AUTO_TEST_CASE(a_destructor_that_throws_on_a_fiber) {
  const auto end = death_of([] {
    heddle::run([] {
      far_below([] { gc::make<silent_thrower>(); });
      collect_until([] { return false; });
    });
  });
  BOOST_TEST(end.signal == SIGABRT);
  BOOST_TEST(names(end, "an exception left the destructor of", "silent_thrower: std::logic_error: not even said"),
             end.text);
}

BOOST_AUTO_TEST_CASE(a_cleanup_that_throws_no_exception_class) {
  const auto end = death_by([] { gc::cleanup(gc::make<with_cleanup>(), [] { throw 7; }); });
  BOOST_TEST(end.signal == SIGABRT);
  BOOST_TEST(names(end, "an exception left a cleanup of an object of", "with_cleanup: int"), end.text);
}

BOOST_AUTO_TEST_CASE(a_destructor_that_terminates) {
  const auto end = death_by([] { gc::make<forgetful>(); });
  BOOST_TEST(end.signal == SIGABRT);
  BOOST_TEST(names(end, "std::terminate() was called in the destructor of", "forgetful"), end.text);
}

/// The handler that the program had set still ends it; nothing is said of what happens elsewhere meanwhile.
BOOST_AUTO_TEST_CASE(handlers_of_the_program) {
  static const auto at_end = [] { ::_exit(std::current_exception() != nullptr ? 9 : 8); };
  const auto end = death_of([] {
    std::set_terminate([] { at_end(); });
    far_below([] { gc::make<silent_thrower>(); });
    collect_until([] { return false; });
  });
  BOOST_TEST(end.status == 9, end.status << end.text);
  BOOST_TEST(end.says("heddle: an exception left"), end.text);
  const auto elsewhere = death_of([] {
    std::set_terminate([] { at_end(); });
    far_below([] { gc::make<counted>(); });
    collect_until([] { return counted::alive == 0; });
    std::terminate();
  });
  BOOST_TEST(elsewhere.status == 8);
  BOOST_TEST(elsewhere.text == "", elsewhere.text);
}

/// An exception with a root, which works in any program, and a gc::ptr that is set in the handler.
BOOST_AUTO_TEST_CASE(exceptions_with_objects) {
  struct failure : std::exception {
    explicit failure(const gc::ptr<witness>& l) : waiting(l) {}
    gc::root<witness> waiting;
    gc::ptr<witness> caught;
  };
  const collecting all_the_time;
  heddle::run([] {
    for (const heddle::testing::timer t(200ms); !t.is_over();) {
      auto fiber = heddle::spawn([] { throw failure(make_list(5)); });
      heddle::this_fiber::sleep_for(300us);
      try {
        fiber.join();
        expect(false);
      } catch (failure& f) {
        f.caught = f.waiting;
        f.waiting = nullptr;
        heddle::this_fiber::sleep_for(300us);
        expect(is_whole_list(f.caught));
      }
    }
  });
}

/// The destructors of static objects use the heap, while a cycle is under way.
BOOST_AUTO_TEST_CASE(the_end_of_the_program) {
  struct last {
    ~last() {
      const gc::ptr<witness> more = make_list(500);
      gc::collect();
      if (!is_whole_list(list) || !is_whole_list(more)) ::_exit(3);
    }
    gc::ptr<witness> list = make_list(500);
  };
  for (int i = 0; i != times(6); ++i) {
    const auto end = death_of([] {
      heddle::testing::leave_signal_stack_of_harness();
      static last object;
      for (int t = 0; t != 2; ++t)
        std::thread([] {
          for (;;) is_whole_list(make_list(100)), gc::collect();
        }).detach();
      std::this_thread::sleep_for(5ms);
      std::exit(0);
    });
    BOOST_TEST((end.signal == 0 && end.status == 0),
               "signal " << end.signal << ", status " << end.status << ": " << end.text);
  }
}

BOOST_AUTO_TEST_SUITE_END()
