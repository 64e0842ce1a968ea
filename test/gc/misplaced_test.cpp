// SPDX-License-Identifier: BSL-1.0
//
// HEDDLE_GC=misplaced: a gc::ptr that lies where the collector does not look is reported, and no other.
#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "heddle/gc.hpp"
#include "heddle/heddle.hpp"
#include "support/death.hpp"

struct thing {
  int value = 0;
  heddle::gc::ptr<thing> next;
};
struct other {
  int value = 0;
};

// Outside of the unnamed namespace: the report shows the names of exported functions.
[[gnu::noinline]] void stores_where_nobody_looks(heddle::gc::ptr<thing>& p);
void stores_where_nobody_looks(heddle::gc::ptr<thing>& p) {
  p = heddle::gc::make<thing>();
  asm volatile("");
}

namespace {

namespace gc = heddle::gc;
using heddle::testing::death;
using heddle::testing::death_of;

/// What a process says that runs one of the cases below, with the option or without.
death run_apart(const std::string& name, bool looks = true) {
  return death_of([&] {
    ::setenv("HEDDLE_GC", looks ? "misplaced" : "percent=100", 1);
    ::execl("/proc/self/exe", "test", ("--run_test=inner/" + name).c_str(), static_cast<char*>(nullptr));
  });
}

std::size_t reports(const std::string& text) {
  std::size_t n = 0;
  for (std::size_t at = text.find("gc::ptr<"); at != std::string::npos; at = text.find("gc::ptr<", at + 1)) ++n;
  return n;
}

/// In memory of malloc.
template <class T>
std::unique_ptr<T> apart() {
  return std::make_unique<T>();
}

gc::ptr<thing> global;
thread_local gc::ptr<thing> of_thread;
std::array<gc::ptr<thing>, 1000> globals;

/// A closure that is made on the heap.
struct large {
  std::array<gc::ptr<thing>, 20> all;
};
large make_large() {
  large l;
  for (auto& p : l.all) p = gc::make<thing>();
  return l;
}

}  // namespace

// --- what runs in a process of its own ------------------------------------------------------------------------------

BOOST_AUTO_TEST_SUITE(inner, *boost::unit_test::disabled())

BOOST_AUTO_TEST_CASE(assigned) {
  const auto p = apart<gc::ptr<thing>>();
  for (int i = 0; i != 10; ++i) stores_where_nobody_looks(*p);
}
BOOST_AUTO_TEST_CASE(constructed) {
  const gc::ptr<thing> here = gc::make<thing>();
  const auto p = std::make_unique<gc::ptr<thing>>(here);
}
BOOST_AUTO_TEST_CASE(in_a_std_vector) {
  std::vector<gc::ptr<thing>> all;
  for (int i = 0; i != 100; ++i) all.push_back(gc::make<thing>());
}
BOOST_AUTO_TEST_CASE(in_an_object_without_addresses) {
  const gc::ptr<char[]> bytes = gc::make_array<char>(64);
  auto* const p = ::new (static_cast<void*>(bytes.get())) gc::ptr<thing>();
  stores_where_nobody_looks(*p);
}
BOOST_AUTO_TEST_CASE(by_a_fiber) {
  const auto p = apart<gc::ptr<thing>>();
  heddle::run([&] {
    gc::make<thing>();
    stores_where_nobody_looks(*p);
  });
}
BOOST_AUTO_TEST_CASE(in_a_std_function) {
  const gc::ptr<thing> here = gc::make<thing>();
  const std::array<gc::ptr<thing>, 8> many{here, here, here};
  const std::function<int()> f = [many] { return many[0]->value; };
  BOOST_TEST(f() == 0);
}
BOOST_AUTO_TEST_CASE(two_types_at_one_place) {
  const auto p = apart<std::array<gc::ptr<void>, 2>>();
  std::array<void*, 2> objects{gc::make<thing>().get(), gc::make<other>().get()};
  for (std::size_t i = 0; i != 20; ++i) (*p)[i % 2] = objects[i % 2];
}
BOOST_AUTO_TEST_CASE(after_a_cycle) {
  gc::collect();
  const auto p = apart<gc::ptr<thing>>();
  stores_where_nobody_looks(*p);
}
BOOST_AUTO_TEST_CASE(after_a_cycle_constructed) {
  const gc::ptr<thing> here = gc::make<thing>();
  gc::collect();
  const auto p = std::make_unique<gc::ptr<thing>>(here);
}
BOOST_AUTO_TEST_CASE(by_another_thread) {
  gc::collect();
  std::thread([] {
    const auto p = apart<gc::ptr<thing>>();
    stores_where_nobody_looks(*p);
  }).join();
}
BOOST_AUTO_TEST_CASE(while_it_collects) {
  gc::ptr<thing> list;
  for (int i = 0; i != 1'000'000; ++i) list = gc::make<thing>(i, list);
  std::thread collector([] {
    for (int i = 0; i != 3; ++i) gc::collect();
  });
  const auto p = apart<gc::ptr<thing>>();
  stores_where_nobody_looks(*p);
  collector.join();
  stores_where_nobody_looks(*p);
}

BOOST_AUTO_TEST_CASE(right_ones) {
  const auto make = [] { return gc::make<thing>(); };
  const auto all_over = [&] {
    gc::ptr<thing> here = make();
    here->next = make();
    const gc::ptr<gc::ptr<thing>[]> array = gc::make_array<gc::ptr<thing>>(10);
    array[3] = here;
    global = here;
    globals[500] = make();
    of_thread = make();
    std::vector<gc::root<thing>> roots(3);
    for (auto& r : roots) r = make();
    roots.push_back(roots[0]);
    gc::vector<gc::ptr<thing>> v;
    for (int i = 0; i != 100; ++i) v.push_back(make());
    gc::hash_map<int, gc::ptr<thing>> m;
    for (int i = 0; i != 100; ++i) m[i] = make();
    gc::atomic<gc::ptr<thing>> a(make());
    a.store(make());
    const gc::weak<thing> w = here;
    here = w.lock();
    gc::ephemeron_map<thing, thing> e;
    e.insert_or_assign(here, make());
    std::optional<gc::ptr<thing>> o = make();
    o = std::nullopt;
    const gc::ptr<const thing> base(make());
    stores_where_nobody_looks(here);
    try {
      throw gc::root<thing>(here);
    } catch (const gc::root<thing>& r) {
      here = r;
    }
    try {
      throw thing();
    } catch (thing& caught) {
      caught.next = make();
    }
  };
  all_over();
  std::thread(all_over).join();
  const auto in_fibers = [&] {
    all_over();
    heddle::channel<gc::ptr<thing>> buffered(4), direct;
    heddle::fiber_local<gc::ptr<thing>> local;
    heddle::promise<gc::ptr<thing>> promise;
    auto result = promise.get_future();
    heddle::go([&] {
      for (int i = 0; i != 10; ++i) buffered.send(make());
      for (int i = 0; i != 10; ++i) direct.send(make());
      promise.set_value(make());
      buffered.close();
    });
    auto other_stack = heddle::spawn([&] {
      int n = 0;
      while (buffered.receive()) ++n;
      return n;
    });
    for (int i = 0; i != 10; ++i) (void)direct.receive();
    BOOST_TEST(other_stack.join() == 10);
    BOOST_TEST(result.get()->value == 0);
    *local = make();
    // Closures, in the fiber and on the heap, and results there.
    auto small = heddle::spawn([p = make()]() mutable { return p = heddle::gc::make<thing>(); });
    auto big = heddle::spawn([l = make_large()]() mutable {
      l.all[3] = heddle::gc::make<thing>();
      return l;
    });
    BOOST_TEST(small.join()->value == 0);
    BOOST_TEST(big.join().all[5]->value == 0);
    // Another's stack, by its address.
    gc::ptr<thing> mine;
    heddle::spawn([&] { mine = make(); }).join();
    std::thread plain([&] { mine = make(); });
    heddle::blocking([&] { plain.join(); });
  };
  for (const unsigned procs : {1u, 2u}) heddle::run(in_fibers, {.procs = procs});
}

BOOST_AUTO_TEST_SUITE_END()

// --- what that says -------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_SUITE(misplaced)

BOOST_AUTO_TEST_CASE(is_reported_with_type_and_place_once) {
  const death d = run_apart("assigned");
  BOOST_TEST(d.status == 0);
  BOOST_TEST(d.says("heddle: a gc::ptr<thing> at 0x"));
  BOOST_TEST(d.says("use gc::root"));
  BOOST_TEST(d.says("stores_where_nobody_looks"));
  BOOST_TEST(reports(d.text) == 1u);
}

BOOST_AUTO_TEST_CASE(wherever_it_comes_from) {
  for (const char* name :
       {"constructed", "in_a_std_vector", "in_an_object_without_addresses", "by_a_fiber", "after_a_cycle",
        "after_a_cycle_constructed", "by_another_thread", "in_a_std_function", "while_it_collects"}) {
    const death d = run_apart(name);
    BOOST_TEST_CONTEXT(name) {
      BOOST_TEST(d.status == 0);
      BOOST_TEST(d.says("heddle: a gc::ptr<thing> at 0x"));
    }
  }
}

BOOST_AUTO_TEST_CASE(each_type_is) {
  const death d = run_apart("two_types_at_one_place");
  BOOST_TEST(d.says("gc::ptr<thing>"));
  BOOST_TEST(d.says("gc::ptr<(without addresses)>"));
  BOOST_TEST(reports(d.text) <= 4u);
}

BOOST_AUTO_TEST_CASE(right_ones_are_not) {
  const death d = run_apart("right_ones");
  BOOST_TEST(d.status == 0);
  BOOST_TEST(reports(d.text) == 0u);
  BOOST_TEST_INFO_SCOPE(d.text);
  BOOST_TEST(!d.says("heddle:"));
}

BOOST_AUTO_TEST_CASE(without_the_option_nothing_is_looked_at) {
  const death d = run_apart("assigned", false);
  BOOST_TEST(d.status == 0);
  BOOST_TEST(reports(d.text) == 0u);
}

BOOST_AUTO_TEST_SUITE_END()
