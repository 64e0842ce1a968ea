// SPDX-License-Identifier: BSL-1.0
#include "heddle/gc/make.hpp"

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>

#include "dying.hpp"
#include "heddle/gc.hpp"
#include "heddle/run.hpp"

namespace {

namespace gc = heddle::gc;
using heddle::testing::collect_until;
using heddle::testing::counted;
using heddle::testing::far_below;

struct aggregate {
  int a = 1;
  std::string text = "default";
  gc::ptr<aggregate> next;
};
class with_constructor {
 public:
  with_constructor(std::unique_ptr<int> p, int& to) : p_(std::move(p)) { to = *p_; }

 private:
  std::unique_ptr<int> p_;
};
struct throws_third {
  explicit throws_third(int i) : number(i) { check(); }
  throws_third() : number(made) { check(); }
  void check() {
    if (++made == 3) throw std::runtime_error("the third");
  }

  counted c;
  int number;
  static inline int made = 0;
};
struct alignas(16) wide {
  long double number = 1;
  char more = 2;
};
/// Notes the order in which elements are destroyed.
struct ordered {
  ~ordered() { in_order = in_order && number == previous - 1, previous = number, last = number; }
  int number = 0;
  static inline int previous = 0;
  static inline bool in_order = true;
  static inline std::atomic<int> last{0};  // the one that is stored last
};
struct makes_when_destroyed {
  ~makes_when_destroyed() {
    heir = gc::make<aggregate>(5, "made by a destructor");
    gc::collect();
    ++done;
  }
  static inline gc::ptr<aggregate> heir;
  static inline std::atomic<int> done{0};
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(make, heddle::testing::collected_check)

BOOST_AUTO_TEST_CASE(aggregates_and_constructors) {
  const auto d = gc::make<aggregate>();
  BOOST_TEST((d->a == 1 && d->text == "default" && d->next == nullptr));
  const auto a = gc::make<aggregate>(5, "five", d);
  BOOST_TEST((a->a == 5 && a->text == "five" && a->next == d));
  const auto copy = gc::make<aggregate>(*a);
  BOOST_TEST((copy->text == "five" && copy != a));
  int seen = 0;
  far_below([&] { gc::make<with_constructor>(std::make_unique<int>(7), seen); });
  BOOST_TEST(seen == 7);
  BOOST_TEST(*gc::make<int>() == 0);
  BOOST_TEST(*gc::make<const char*>("text") == "text");
}

BOOST_AUTO_TEST_CASE(objects_are_aligned_and_apart) {
  std::uintptr_t last = 0;
  for (int i = 0; i < 1000; ++i) {
    const gc::ptr<wide> w = gc::make<wide>();
    const auto at = reinterpret_cast<std::uintptr_t>(w.get());
    BOOST_REQUIRE(at % 16 == 0);
    BOOST_REQUIRE(at != last);
    BOOST_REQUIRE((w->number == 1 && w->more == 2));
    last = at;
  }
}

BOOST_AUTO_TEST_CASE(destructors_run_once_some_time_later) {
  BOOST_TEST(counted::alive == 0);
  far_below([] {
    for (int i = 0; i < 100; ++i) gc::make<counted>();
  });
  BOOST_TEST(collect_until([] { return counted::alive == 0; }));
  gc::collect();
  gc::collect();
  BOOST_TEST(counted::alive == 0);  // not twice
}

BOOST_AUTO_TEST_CASE(an_object_that_is_kept_is_not_destroyed) {
  gc::ptr<counted> kept;
  far_below([&] {
    kept = gc::make<counted>();
    gc::make<counted>();
  });
  BOOST_TEST(collect_until([] { return counted::alive == 1; }));
  gc::collect();
  BOOST_TEST(counted::alive == 1);
  far_below([&] { kept = nullptr; });
  BOOST_TEST(collect_until([] { return counted::alive == 0; }));
}

BOOST_AUTO_TEST_CASE(what_throws_while_made_is_never_destroyed) {
  throws_third::made = 2;
  far_below([] { BOOST_CHECK_THROW(gc::make<throws_third>(1), std::runtime_error); });
  BOOST_TEST(counted::alive == 0);  // its member was destroyed by the language
  gc::collect();
  BOOST_TEST(counted::alive == 0);
}

BOOST_AUTO_TEST_CASE(arrays_are_value_initialised) {
  for (const std::size_t n : {0u, 1u, 7u, 1000u, 100'000u}) {
    const gc::ptr<long[]> a = gc::make_array<long>(n);
    BOOST_TEST((a != nullptr));
    for (std::size_t i = 0; i != n; ++i) BOOST_REQUIRE(std::exchange(a[i], static_cast<long>(i)) == 0);
    for (std::size_t i = 0; i != n; ++i) BOOST_REQUIRE(a[i] == static_cast<long>(i));
  }
  const auto filled = gc::make_array<std::string>(3, "x");
  BOOST_TEST((filled[0] == "x" && filled[2] == "x"));
  const auto buffer = gc::make_array_for_overwrite<char>(10);
  buffer[9] = 'c';
  BOOST_TEST(buffer[9] == 'c');
}

BOOST_AUTO_TEST_CASE(an_address_of_an_element_keeps_an_array) {
  gc::ptr<gc::ptr<aggregate>> element;
  far_below([&] {
    const auto a = gc::make_array<gc::ptr<aggregate>>(1000);
    for (int i = 0; i < 1000; ++i) a[i] = gc::make<aggregate>(i);
    element = &a[500];
  });
  gc::collect();
  for (int i = 0; i < 1000; ++i) BOOST_REQUIRE((element.get() + i - 500)->get()->a == i);
}

BOOST_AUTO_TEST_CASE(elements_are_destroyed_the_last_one_first) {
  constexpr int n = 50;
  ordered::previous = n;
  ordered::in_order = true;
  ordered::last = -1;
  far_below([] {
    const auto a = gc::make_array<ordered>(n);
    for (int i = 0; i < n; ++i) a[i].number = i;
  });
  BOOST_TEST(collect_until([] { return ordered::last == 0; }));
  BOOST_TEST(ordered::in_order);
}

BOOST_AUTO_TEST_CASE(an_element_that_throws_ends_those_before_it) {
  throws_third::made = 0;
  far_below([] { BOOST_CHECK_THROW(gc::make_array<throws_third>(5), std::runtime_error); });
  BOOST_TEST(counted::alive == 0);
  gc::collect();
  BOOST_TEST(counted::alive == 0);
}

BOOST_AUTO_TEST_CASE(too_large_an_array_is_refused) {
  BOOST_CHECK_THROW(gc::make_array<long>(std::size_t{1} << 60), std::bad_array_new_length);
  BOOST_CHECK_THROW(gc::make_array<long>(~std::size_t{0}), std::bad_array_new_length);
}

BOOST_AUTO_TEST_CASE(a_destructor_may_make_objects_and_collect) {
  makes_when_destroyed::done = 0;
  far_below([] { gc::make<makes_when_destroyed>(); });
  BOOST_TEST(collect_until([] { return makes_when_destroyed::done == 1; }));
  BOOST_TEST(makes_when_destroyed::heir->text == "made by a destructor");
  makes_when_destroyed::heir = nullptr;
}

BOOST_AUTO_TEST_CASE(on_fibers_as_on_threads) {
  heddle::run([] {
    gc::ptr<aggregate> list;
    for (int i = 0; i < 10'000; ++i) list = gc::make<aggregate>(i, "text", list);
    gc::collect();
    int length = 0;
    for (const aggregate* a = list; a != nullptr; a = a->next) length += a->text == "text";
    BOOST_TEST(length == 10'000);
  });
}

BOOST_AUTO_TEST_SUITE_END()
