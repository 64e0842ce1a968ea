// SPDX-License-Identifier: BSL-1.0
//
// Generations: what young cycles free and keep. The marks of each cycle are checked whole, and dead objects are filled
// with other values.
#include <array>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "add_option.hpp"
#include "dying.hpp"
#include "heddle/gc.hpp"
#include "heddle/heddle.hpp"
#include "support/death.hpp"
#include "support/scale.hpp"
#include "witness.hpp"

namespace {

namespace gc = heddle::gc;
using heddle::testing::counted;
using heddle::testing::death_of;
using heddle::testing::far_below;
using heddle::testing::has_died;
using heddle::testing::holds;
using heddle::testing::is_whole_list;
using heddle::testing::make_list;
using heddle::testing::make_witness;
using heddle::testing::witness;

struct checks_all {
  checks_all() { heddle::testing::add_option("check"); }
};
BOOST_TEST_GLOBAL_FIXTURE(checks_all);

/// Generations while it lives. The first cycle of such a time is a whole one, and has been.
struct generational : heddle::testing::collected_check {
  generational() {
    gc::set_generational(true);
    gc::collect_young();
    gc::collect();
  }
  void teardown() {
    gc::set_generational(false);
    gc::collect();
    collected_check::teardown();
  }
};

/// An object of which nothing is left on the stack.
gc::weak<witness> made_and_forgotten() {
  gc::weak<witness> w;
  far_below([&] { w = make_witness(1); });
  return w;
}

/// The state in which one young cycle leaves a young object that `put` has stored into an old one.
template <class Old, class Put>
bool is_kept_by(gc::root<Old>& old, Put put) {
  gc::weak<witness> w;
  far_below([&] {
    const gc::ptr<witness> made = make_list(2);
    w = made;
    put(*old, made);
  });
  gc::collect_young();
  return holds([&] {
    const gc::ptr<witness> p = w.lock();
    return p != nullptr && is_whole_list(p);
  });
}

struct holder {
  gc::ptr<witness> one, two;
};
struct atomic_holder {
  gc::atomic<gc::ptr<witness>> one;
};
struct vector_holder {
  gc::vector<gc::ptr<witness>> all;
};

template <class T>
gc::root<T> make_old() {
  gc::root<T> r;
  far_below([&] { r = gc::make<T>(); });
  gc::collect_young();  // it has lived through one
  return r;
}

/// While one is made a cycle comes, and then it gets an object of which nobody is told.
struct made_slowly {
  template <class Collect>
  explicit made_slowly(Collect collect) {
    collect();
    plain = make_list(3).get();
  }
  witness* plain = nullptr;
  static void trace(gc::layout<made_slowly>& l) { l(&made_slowly::plain); }
};
/// The same, scanned word by word.
class untraced : public made_slowly {
 public:
  using made_slowly::made_slowly;
  static void trace(gc::layout<untraced>& l) { l.everything(); }
};

template <class T>
void is_whole_though_made_slowly() {
  gc::root<T> r;
  far_below([&] { r = gc::make<T>([] { gc::collect_young(); }); });
  for (int i = 0; i != 3; ++i) {
    gc::collect_young();
    BOOST_TEST(holds([&] { return is_whole_list(r->plain); }));
  }
  far_below([&] { r = gc::make<T>([] { gc::collect(); }); });
  gc::collect_young();
  BOOST_TEST(holds([&] { return is_whole_list(r->plain); }));
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(off, heddle::testing::collected_check)

BOOST_AUTO_TEST_CASE(cycles_are_whole_by_default) {
  const auto started = gc::statistics();
  gc::root<witness> r;
  far_below([&] { r = make_witness(1); });
  gc::collect_young();
  gc::weak<witness> w;
  far_below([&] {
    w = r.get();
    r = nullptr;
  });
  gc::collect_young();
  BOOST_TEST(has_died(w));
  BOOST_TEST(gc::statistics().young_cycles == started.young_cycles);
  BOOST_TEST(gc::statistics().promoted_bytes == started.promoted_bytes);
  BOOST_TEST(gc::statistics().cycles >= started.cycles + 2);
}

BOOST_AUTO_TEST_CASE(the_value_from_before_is_returned) {
  BOOST_TEST(!gc::set_generational(true));
  BOOST_TEST(gc::set_generational(true));
  BOOST_TEST(gc::set_generational(false));
  BOOST_TEST(!gc::set_generational(false));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_FIXTURE_TEST_SUITE(young_cycles, generational)

BOOST_AUTO_TEST_CASE(free_what_is_new_and_dead) {
  const gc::weak<witness> w = made_and_forgotten();
  const auto started = gc::statistics();
  gc::collect_young();
  BOOST_TEST(has_died(w));
  BOOST_TEST(gc::statistics().young_cycles == started.young_cycles + 1);
}

BOOST_AUTO_TEST_CASE(leave_what_is_old_to_a_whole_one) {
  gc::root<witness> r;
  far_below([&] { r = make_witness(1); });
  gc::collect_young();
  gc::weak<witness> w;
  far_below([&] {
    w = r.get();
    r = nullptr;
  });
  gc::collect_young();
  BOOST_TEST(!has_died(w));
  gc::collect();
  BOOST_TEST(has_died(w));
}

BOOST_AUTO_TEST_CASE(the_first_one_after_switching_on_is_whole) {
  gc::set_generational(false);
  gc::collect();
  gc::root<witness> r;
  far_below([&] { r = make_list(100); });
  gc::set_generational(true);
  const auto started = gc::statistics().young_cycles;
  gc::collect_young();
  BOOST_TEST(gc::statistics().young_cycles == started);
  gc::collect_young();
  BOOST_TEST(gc::statistics().young_cycles == started + 1);
  BOOST_TEST(holds([&] { return is_whole_list(r.get()); }));
}

BOOST_AUTO_TEST_CASE(keep_what_old_objects_have_got) {
  auto r = make_old<holder>();
  BOOST_TEST(is_kept_by(r, [](holder& h, const auto& p) { h.one = p; }));
  BOOST_TEST(is_kept_by(r, [](holder& h, const auto& p) { h.one = p.get(); }));
  BOOST_TEST(is_kept_by(r, [](holder& h, const auto& p) {
    auto copy = p;
    h.two = std::move(copy);
  }));
  BOOST_TEST(is_kept_by(r, [](holder& h, const auto& p) {
    auto copy = p;
    h.one.swap(copy);
  }));
  BOOST_TEST(is_kept_by(r, [](holder& h, const auto& p) { std::construct_at(&h.two, p); }));
  auto a = make_old<atomic_holder>();
  BOOST_TEST(is_kept_by(a, [](atomic_holder& h, const auto& p) { h.one = p; }));
  BOOST_TEST(is_kept_by(a, [](atomic_holder& h, const auto& p) { h.one.exchange(p); }));
  BOOST_TEST(is_kept_by(a, [](atomic_holder& h, const auto& p) {
    gc::ptr<witness> seen = h.one.load();
    h.one.compare_exchange_strong(seen, p);
  }));
  auto v = make_old<vector_holder>();
  for (int i = 0; i != 20; ++i) BOOST_TEST(is_kept_by(v, [](vector_holder& h, const auto& p) { h.all.push_back(p); }));
}

/// Not through further objects: what has lived through the cycle is old, too, and leads to what is stored next.
BOOST_AUTO_TEST_CASE(keep_a_list_that_grows_at_its_end) {
  gc::root<witness> first;
  far_below([&] { first = make_witness(20); });
  for (std::uint64_t id = 20; id-- != 0;) {
    far_below([&] {
      witness* last = first.get();
      while (last->next != nullptr) last = last->next;
      last->next = make_witness(id);
    });
    gc::collect_young();
  }
  BOOST_TEST(holds([&] { return is_whole_list(first.get()); }));
}

BOOST_AUTO_TEST_CASE(keep_what_stands_anywhere_in_a_large_array) {
  constexpr std::size_t many = 100'000;
  gc::root<gc::ptr<witness>[]> r;
  far_below([&] { r = gc::make_array<gc::ptr<witness>>(many); });
  gc::collect_young();
  const std::vector<std::size_t> places{0, 1, 63, 64, 65, 1023, 1024, 4095, 4096, 50'001, many - 64, many - 1};
  for (const std::size_t i : places) far_below([&] { r.get()[i] = make_witness(i); });
  gc::collect_young();
  for (const std::size_t i : places)
    BOOST_TEST(holds([&] { return r.get()[i]->is_whole() && r.get()[i]->id == i; }), "at " << i);
}

/// The last words of pieces that cards stand for.
BOOST_AUTO_TEST_CASE(keep_what_stands_at_the_ends_of_pieces) {
  gc::root<gc::ptr<witness>[]> r;
  far_below([&] { r = gc::make_array<gc::ptr<witness>>(512); });
  gc::collect_young();
  far_below([&] { r.get()[255] = make_witness(1), r.get()[511] = make_witness(2); });
  gc::collect_young();
  BOOST_TEST(holds([&] { return r.get()[255]->is_whole() && r.get()[511]->is_whole(); }));
}

/// Blocks that lie across the borders of the pieces that a card stands for.
BOOST_AUTO_TEST_CASE(keep_what_stands_at_the_ends_of_objects) {
  struct odd {
    gc::ptr<witness> first;
    std::array<std::uint64_t, 85> between{};
    gc::ptr<witness> last;
  };
  struct list {
    gc::vector<gc::ptr<odd>> all;
  };
  auto r = make_old<list>();
  far_below([&] {
    for (int i = 0; i != 50; ++i) r->all.push_back(gc::make<odd>());
  });
  gc::collect_young();
  far_below([&] {
    for (const auto& o : r->all) {
      o->first = make_witness(1);
      o->last = make_witness(2);
    }
  });
  gc::collect_young();
  BOOST_TEST(holds([&] {
    bool all = true;
    for (const auto& o : r->all) all = all && o->first->is_whole() && o->last->is_whole();
    return all;
  }));
}

BOOST_AUTO_TEST_CASE(keep_what_an_object_gets_while_it_is_made) {
  is_whole_though_made_slowly<made_slowly>();
  is_whole_though_made_slowly<untraced>();
}

/// Of such an object the cycle knows nothing but that it is new: it is made during one.
BOOST_AUTO_TEST_CASE(keep_what_objects_get_that_are_made_meanwhile) {
  for (int round = 0; round != 5; ++round) {
    std::vector<gc::root<made_slowly>> all;
    auto collecting = std::thread([] { gc::collect_young(); });
    far_below([&] {
      for (int i = 0; i != 200; ++i)
        all.emplace_back(gc::make<made_slowly>([i] { i % 100 == 0 ? heddle::this_fiber::yield() : void(); }));
    });
    collecting.join();
    far_below([&] { all.emplace_back(gc::make<made_slowly>([] { gc::collect_young(); })); });
    gc::collect_young();
    BOOST_TEST(holds([&] {
      bool whole = true;
      for (const auto& r : all) whole = whole && is_whole_list(r->plain);
      return whole;
    }));
  }
}

BOOST_AUTO_TEST_CASE(keep_what_parked_fibers_have) {
  heddle::run([] {
    heddle::channel<int> go;
    std::vector<heddle::join_handle<bool>> all;
    for (int i = 0; i != 50; ++i)
      all.push_back(heddle::spawn([&go, i] {
        witness* const mine = make_list(static_cast<std::uint64_t>(i)).get();
        bool whole = true;
        while (go.receive()) {
          mine->next = i == 0 ? nullptr : make_list(static_cast<std::uint64_t>(i) - 1).get();
          whole = whole && is_whole_list(mine);
        }
        return whole && is_whole_list(mine);
      }));
    for (int i = 0; i != 5; ++i) {
      gc::collect_young();
      for (std::size_t n = 0; n != all.size(); ++n) go.send(i);
    }
    gc::collect_young();
    go.close();
    for (auto& f : all) BOOST_TEST(f.join());
  });
}

BOOST_AUTO_TEST_CASE(end_objects_with_destructors) {
  far_below([] { gc::make<counted>(); });
  gc::collect_young();
  BOOST_TEST(heddle::testing::collect_until([] { return counted::alive == 0; }));
  // An old one lives on until a whole cycle.
  gc::root<counted> r;
  far_below([&] { r = gc::make<counted>(); });
  gc::collect_young();
  far_below([&] { r = nullptr; });
  gc::collect_young();
  BOOST_TEST(gc::statistics().destructors_queued == 0u);
  BOOST_TEST(counted::alive == 1);
  BOOST_TEST(heddle::testing::collect_until([] { return counted::alive == 0; }));
}

BOOST_AUTO_TEST_CASE(call_cleanups) {
  static std::atomic<int> called{0};
  far_below([] {
    const auto p = make_witness(1);
    gc::cleanup(p, [] { ++called; });
  });
  gc::collect_young();
  for (int i = 0; i != 10'000 && called == 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  BOOST_TEST(called == 1);
}

BOOST_AUTO_TEST_CASE(let_entries_of_an_old_map_go_with_their_keys) {
  struct maps {
    gc::ephemeron_map<witness, witness> map;
  };
  auto r = make_old<maps>();
  gc::root<witness> kept;
  gc::weak<witness> value_of_kept, value_of_dead;
  far_below([&] {
    kept = make_witness(1);
    const auto a = make_witness(2), b = make_witness(3);
    value_of_kept = a;
    value_of_dead = b;
    r->map.insert_or_assign(kept.get(), a.get());
    r->map.insert_or_assign(make_witness(4).get(), b.get());
  });
  gc::collect_young();
  BOOST_TEST(!has_died(value_of_kept));
  BOOST_TEST(has_died(value_of_dead));
}

BOOST_AUTO_TEST_CASE(count_what_becomes_old) {
  gc::collect();
  gc::collect_young();
  const auto started = gc::statistics();
  gc::root<witness> r;
  far_below([&] { r = make_list(9'999); });
  gc::collect_young();
  const auto after = gc::statistics();
  std::size_t each = 0;
  far_below([&] { each = gc::detail::extent_of(r.get()).bytes; });
  const auto promoted = after.promoted_bytes - started.promoted_bytes;
  BOOST_TEST(promoted >= 9'900 * each);            // some were at hand during the cycle before
  BOOST_TEST(promoted < 10'000 * each + 100'000);  // what the test itself has at hand
  gc::collect_young();
  BOOST_TEST(gc::statistics().promoted_bytes - after.promoted_bytes < 100'000u);
  BOOST_TEST(after.live_bytes >= 10'000 * each);
}

/// Garbage that was made during a cycle is garbage of the next one, not old.
BOOST_AUTO_TEST_CASE(free_what_was_made_during_the_one_before) {
  gc::collect();
  const auto started = gc::statistics().live_bytes;
  std::atomic<bool> over{false};
  std::thread making([&] {
    while (!over) make_witness(1);
  });
  for (int i = 0; i != 10; ++i) gc::collect_young();
  over = true;
  making.join();
  for (int i = 0; i != 2; ++i) gc::collect_young();
  BOOST_TEST(gc::statistics().live_bytes < started + 200'000);
}

BOOST_AUTO_TEST_CASE(explain_what_is_old) {
  gc::root<witness> r;
  far_below([&] { r = make_list(1); });
  gc::collect_young();
  std::string why;
  std::uintptr_t hidden = 0;
  far_below([&] { hidden = ~reinterpret_cast<std::uintptr_t>(r->next.get()); });
  far_below([&] { why = gc::explain(reinterpret_cast<void*>(~hidden)); });
  BOOST_TEST(why.find("dead") == std::string::npos, why);
  BOOST_TEST(why.find("witness") != std::string::npos, why);
}

BOOST_AUTO_TEST_CASE(work_in_a_child, *boost::unit_test::enable_if<!heddle::testing::sanitized>()) {
  gc::root<witness> r;
  far_below([&] { r = make_list(100); });
  gc::collect_young();
  const auto end = death_of([&] {
    far_below([&] { r->next->next = make_list(98); });
    const gc::weak<witness> w = made_and_forgotten();
    const auto started = gc::statistics().young_cycles;
    gc::collect_young();
    ::_exit(!is_whole_list(r.get()) ? 1 : !has_died(w) ? 2 : gc::statistics().young_cycles != started + 1 ? 3 : 0);
  });
  BOOST_TEST(end.signal == 0, end.text);
  BOOST_TEST(end.status == 0, end.text);
}

/// Much is made and forgotten beside much that stays.
BOOST_AUTO_TEST_CASE(are_most_where_little_lives_on) {
  gc::root<witness> r;
  far_below([&] { r = make_list(1'000'000); });
  gc::collect();
  const auto started = gc::statistics();
  far_below([] {
    for (int i = 0; i != heddle::testing::times(8'000'000, 2); ++i) make_witness(1);
  });
  const auto after = gc::statistics();
  const auto young = after.young_cycles - started.young_cycles;
  const auto whole = after.cycles - started.cycles - young;
  BOOST_TEST(young >= 1u);
  BOOST_TEST(young > whole);
  BOOST_TEST(holds([&] { return is_whole_list(r.get()); }));
}

BOOST_AUTO_TEST_CASE(are_few_where_all_lives_on) {
  const auto started = gc::statistics();
  gc::root<witness> r;
  far_below([&] { r = make_list(5'000'000); });
  const auto after = gc::statistics();
  const auto young = after.young_cycles - started.young_cycles;
  const auto whole = after.cycles - started.cycles - young;
  BOOST_TEST(whole >= 1u);
  BOOST_TEST(young <= whole + 1);
  BOOST_TEST(holds([&] { return is_whole_list(r.get()); }));
}

/// Threads store all the time while generations begin and end.
BOOST_AUTO_TEST_CASE(come_and_go_while_threads_store) {
  std::atomic<bool> over{false};
  std::vector<std::thread> all;
  std::atomic<int> broken{0};
  for (int t = 0; t != 3; ++t)
    all.emplace_back([&] {
      gc::root<holder> h(gc::make<holder>());
      while (!over) {
        far_below([&] {
          h->one = make_list(30);
          h->two = h->one->next;
          for (int i = 0; i != 20; ++i) h->two = make_list(static_cast<std::uint64_t>(i));
        });
        far_below([&] { broken += is_whole_list(h->one) && is_whole_list(h->two) ? 0 : 1; });
      }
    });
  for (int i = 0; i != 24; ++i) {
    gc::set_generational(i % 3 != 2);
    i % 5 == 4 ? gc::collect() : gc::collect_young();
  }
  gc::set_generational(true);
  over = true;
  for (auto& t : all) t.join();
  BOOST_TEST(broken == 0);
}

BOOST_AUTO_TEST_SUITE_END()
