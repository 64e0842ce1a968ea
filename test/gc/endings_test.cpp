// SPDX-License-Identifier: BSL-1.0
//
// Destructors and cleanups that do what they may: collect, make objects, bring themselves back, cancel, throw; and very
// many at once.
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <exception>
#include <memory>
#include <stdexcept>
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
    later = again;
    ++over;
  }
  static void trace(gc::layout<introvert>& l) { l(&introvert::self); }
  gc::weak<introvert> self;
  static inline gc::weak<introvert> later;
  static inline std::atomic<bool> alive_before{false};
  static inline std::atomic<int> over{0};
};

struct thrower {
  ~thrower() noexcept(false) { throw std::runtime_error("no way out"); }
};

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
  introvert::alive_before = true;
  far_below([] {
    const gc::ptr<introvert> o = gc::make<introvert>();
    o->self = o;
  });
  BOOST_TEST(collect_until([] { return introvert::over == 1; }));
  BOOST_TEST(!introvert::alive_before);
  far_below([] { introvert::later = nullptr; });
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

/// Nobody could handle it: the process says what it was, and ends.
BOOST_AUTO_TEST_CASE(a_destructor_that_throws) {
  const auto end = death_of([] {
    far_below([] { gc::make<thrower>(); });
    collect_until([] { return false; });
  });
  BOOST_TEST(end.signal == SIGABRT);
  BOOST_TEST(end.says("no way out"), end.text);
}

/// What a caught exception refers to is kept; one that waits in a fiber's result, or in an std::exception_ptr, is in
/// memory that is not scanned, and has a root for that.
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
