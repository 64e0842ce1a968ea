// SPDX-License-Identifier: BSL-1.0
#include "heddle/fiber_local.hpp"

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "heddle/fiber.hpp"
#include "heddle/group.hpp"
#include "heddle/run.hpp"
#include "heddle/this_fiber.hpp"
#include "support/crew.hpp"
#include "support/death.hpp"
#include "support/leak_check.hpp"

namespace {

using heddle::testing::all_settings;
using heddle::testing::crew;
using heddle::testing::death_of;
using heddle::testing::kind;
using heddle::testing::with_crew;

// Made before main(), which shows that it can be; and the list of free places is allocated before any test.
heddle::fiber_local<int> usable_before_main;

static_assert(!std::is_copy_constructible_v<heddle::fiber_local<int>>);

/// Counts how many there are, and notes in which order they end.
struct counted {
  static inline std::atomic<int> alive{0};
  std::vector<int>* order = nullptr;
  int number = 0;
  counted() { ++alive; }
  counted(std::vector<int>* o, int n) : order(o), number(n) { ++alive; }
  counted(const counted&) = delete;
  ~counted() {
    if (order != nullptr) order->push_back(number);
    --alive;
  }
};

/// Runs f on a fiber of a fresh runtime, where its end can be seen.
template <class F>
void on_fiber(F f) {
  heddle::run([&] { heddle::spawn(f).join(); }, {.procs = 1});
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(fiber_local, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(each_has_its_own) {
  for (const auto& s : all_settings) {
    heddle::fiber_local<int> number;
    std::atomic<int> wrong{0};
    with_crew(s, [&](crew& c) {
      for (int i = 1; i <= 8; ++i)
        c.start([&, i] {
          wrong += *number != 0;
          *number = i;
          for (int n = 0; n < 200; ++n) {
            heddle::this_fiber::yield();
            wrong += number.get() != i;
          }
        });
    });
    BOOST_TEST(wrong == 0, s);
  }
}

BOOST_AUTO_TEST_CASE(is_made_when_asked_for_and_goes_with_its_fiber) {
  for (const auto& s : all_settings) {
    heddle::fiber_local<counted> value;
    std::atomic<int> most{0};
    with_crew(s, [&](crew& c) {
      for (int i = 0; i < 4; ++i)
        c.start([&, i] {
          if (i == 3) return;  // never asks
          value.get();
          most = std::max(most.load(), counted::alive.load());
        });
      c.join();
      BOOST_TEST(counted::alive == 0, s);
    });
    BOOST_TEST(most >= 1, s);
    BOOST_TEST(most <= 3, s);
  }
}

BOOST_AUTO_TEST_CASE(begins_as_the_initializer_says) {
  std::atomic<int> made{0};
  heddle::fiber_local<std::string> text([&] { return "fiber " + std::to_string(++made); });
  on_fiber([&] {
    BOOST_TEST(text.find() == nullptr);
    BOOST_TEST(*text == "fiber 1");
    BOOST_TEST(text->size() == 7U);
    BOOST_TEST(*text == "fiber 1");
    heddle::spawn([&] { BOOST_TEST(*text == "fiber 2"); }).join();
    BOOST_TEST(*text == "fiber 1");
  });
  BOOST_TEST(made == 2);
}

BOOST_AUTO_TEST_CASE(an_initializer_that_throws_is_tried_again) {
  int tries = 0;
  heddle::fiber_local<int> value([&] { return ++tries == 1 ? throw std::runtime_error("not yet") : 5; });
  on_fiber([&] {
    BOOST_CHECK_THROW(value.get(), std::runtime_error);
    BOOST_TEST(value.find() == nullptr);
    BOOST_TEST(*value == 5);
  });
}

BOOST_AUTO_TEST_CASE(reset_makes_room_for_a_new_value) {
  heddle::fiber_local<int> value([] { return 7; });
  on_fiber([&] {
    value.reset();  // nothing there
    *value = 8;
    value.reset();
    BOOST_TEST(value.find() == nullptr);
    BOOST_TEST(*value == 7);
  });
}

BOOST_AUTO_TEST_CASE(holds_what_cannot_be_moved_and_wants_its_alignment) {
  struct alignas(128) rigid {
    int n = 3;
    rigid() = default;
    rigid(const rigid&) = delete;
  };
  heddle::fiber_local<rigid> value, made([] { return rigid(); });
  on_fiber([&] {
    BOOST_TEST(value->n == 3);
    BOOST_TEST(made->n == 3);
    BOOST_TEST(reinterpret_cast<std::uintptr_t>(value.find()) % 128 == 0U);
  });
}

BOOST_AUTO_TEST_CASE(the_newest_ends_first) {
  std::vector<int> order;
  std::vector<std::unique_ptr<heddle::fiber_local<counted>>> variables;
  for (int i = 0; i < 20; ++i)
    variables.push_back(std::make_unique<heddle::fiber_local<counted>>([&order, i] { return counted(&order, i); }));
  on_fiber([&] {
    for (const int i : {3, 19, 0, 7, 11}) variables[i]->get();
    variables[0]->reset();
  });
  BOOST_TEST(order == (std::vector<int>{0, 11, 7, 19, 3}), boost::test_tools::per_element());
}

namespace {
/// Uses other variables while it ends.
struct clinging {
  heddle::fiber_local<std::string>* used = nullptr;
  std::string* seen = nullptr;
  ~clinging() {
    if (used != nullptr) *seen = **used;
  }
};
/// Makes itself again a few times.
struct reborn {
  static inline heddle::fiber_local<reborn>* self = nullptr;
  static inline int lives = 0;
  ~reborn() {
    if (--lives > 0) self->get();
  }
};
}  // namespace

BOOST_AUTO_TEST_CASE(destructors_may_use_and_make_values) {
  std::string seen;
  heddle::fiber_local<std::string> text([] { return std::string("made late, and long enough for the heap"); });
  heddle::fiber_local<clinging> value([&] { return clinging{&text, &seen}; });
  heddle::fiber_local<reborn> cat;
  reborn::self = &cat;
  for (const bool in_group : {false, true}) {
    seen.clear();
    reborn::lives = 9;
    const auto use = [&] {
      value.get();
      cat.get();
    };
    on_fiber([&] {
      if (!in_group) return use();
      heddle::group g;
      g.spawn(use);
      g.wait();
      BOOST_TEST(reborn::lives == 0);  // by then
    });
    BOOST_TEST(seen == "made late, and long enough for the heap");
    BOOST_TEST(reborn::lives == 0);
  }
}

BOOST_AUTO_TEST_CASE(values_of_threads_end_with_them) {
  heddle::fiber_local<counted> value;
  std::thread([&] {
    value.get();
    BOOST_TEST(counted::alive == 1);
  }).join();
  BOOST_TEST(counted::alive == 0);
}

BOOST_AUTO_TEST_CASE(a_variable_may_go_before_the_fibers) {
  std::optional<heddle::fiber_local<counted>> value(std::in_place);
  int step = 0;
  const auto until = [&](int n) {
    while (step < n) heddle::this_fiber::yield();
  };
  heddle::run(
      [&] {
        auto keeper = heddle::spawn([&] {
          value->get();
          until(2);
        });
        auto user_of_the_next = heddle::spawn([&] {
          value->get();
          until(1);
          heddle::fiber_local<int> next;  // takes the place
          BOOST_TEST(counted::alive == 2);
          BOOST_TEST(*next == 0);  // not what the old value was; which goes
          BOOST_TEST(counted::alive == 1);
        });
        for (int i = 0; i < 10; ++i) heddle::this_fiber::yield();
        value->get();
        BOOST_TEST(counted::alive == 3);
        value.reset();  // the caller's value goes with it
        BOOST_TEST(counted::alive == 2);
        step = 1;
        user_of_the_next.join();
        BOOST_TEST(counted::alive == 1);
        step = 2;
        keeper.join();
        BOOST_TEST(counted::alive == 0);
      },
      {.procs = 1, .monitor = false});
}

BOOST_AUTO_TEST_CASE(a_new_variable_never_finds_an_old_value) {
  on_fiber([] {
    for (int i = 0; i < 1'000; ++i) {
      auto variable = std::make_unique<heddle::fiber_local<int>>();
      BOOST_TEST_REQUIRE(**variable == 0);
      **variable = i + 1;
      // Destroyed by another fiber, so this one keeps its value.
      heddle::spawn([&] { variable.reset(); }).join();
    }
  });
}

BOOST_AUTO_TEST_CASE(who_stands_on_the_stack_of_its_joiner_has_its_own) {
  heddle::fiber_local<int> value;
  on_fiber([&] {
    *value = 1;
    heddle::spawn([&] {
      BOOST_TEST(*value == 0);
      *value = 2;
    }).join();
    BOOST_TEST(*value == 1);
  });
}

BOOST_AUTO_TEST_CASE(many_variables_come_and_go_everywhere) {
  for (const auto& s : all_settings) {
    std::atomic<int> wrong{0};
    with_crew(s, [&](crew& c) {
      for (int worker = 0; worker < 6; ++worker)
        c.start([&wrong, worker] {
          for (int round = 0; round < 100; ++round) {
            std::vector<std::unique_ptr<heddle::fiber_local<std::string>>> mine;
            for (int i = 0; i < 10; ++i) {
              mine.push_back(std::make_unique<heddle::fiber_local<std::string>>());
              **mine.back() = std::string(40, static_cast<char>('a' + worker));
            }
            heddle::this_fiber::yield();
            for (auto& v : mine) wrong += **v != std::string(40, static_cast<char>('a' + worker));
          }
        });
    });
    BOOST_TEST(wrong == 0, s);
  }
}

BOOST_AUTO_TEST_CASE(endless_rebirth_is_reported) {
  const auto end = death_of([] {
    heddle::fiber_local<reborn> cat;
    reborn::self = &cat;
    reborn::lives = 1'000'000'000;
    std::thread([&] { cat.get(); }).join();
  });
  BOOST_TEST(end.signal == SIGABRT);
  BOOST_TEST(end.says("make new ones in their destructors"), end.text);
}

BOOST_AUTO_TEST_SUITE_END()
