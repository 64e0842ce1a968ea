// SPDX-License-Identifier: BSL-1.0
//
// Fibers that wait for ever: which are reported, and which are not.
#include <algorithm>
#include <array>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "dying.hpp"
#include "heddle/gc.hpp"
#include "heddle/heddle.hpp"
#include "support/crew.hpp"
#include "support/death.hpp"
#include "witness.hpp"

/// All that fibers wait at, in one object.
struct meeting {
  heddle::channel<int> values;
  heddle::channel<int> others;
  heddle::mutex lock;
  heddle::condition_variable changed;
  heddle::shared_mutex shared;
  heddle::wait_group group;
  heddle::latch done{1};
  heddle::semaphore permits{0};
  heddle::barrier<> both{2};
  heddle::once_flag once;
};

// Outside of the unnamed namespace: the report shows the names of exported functions.
[[gnu::noinline]] void waits_in_vain(meeting* m);
void waits_in_vain(meeting* m) {
  (void)m->values.receive();
  asm volatile("");
}

namespace {

namespace gc = heddle::gc;
using namespace std::chrono_literals;
using heddle::testing::death_of;
using heddle::testing::far_below;
using heddle::testing::settle;

using meeting_ptr = gc::ptr<meeting>;
using weak_meeting = gc::weak<meeting>;

/// One at a time, without a monitor: what waits has settled when settle() returns.
template <class F>
void in_runtime(F f) {
  heddle::options o;
  o.procs = 1;
  o.monitor = false;
  heddle::run(f, o);
}

/// A fiber that waits as `wait` says at a new object, to which nothing leads from here but a weak reference.
template <class F>
weak_meeting leave_behind(const char* name, F wait) {
  weak_meeting w;
  far_below([&] {
    const meeting_ptr m = gc::make<meeting>();
    w = m;
    heddle::go({.name = name}, [m, wait] { wait(m.get()); });
    settle();
  });
  settle();
  return w;
}
weak_meeting leave_reader(const char* name) {
  return leave_behind(name, [](meeting* m) { waits_in_vain(m); });
}
/// Lets all who receive go.
void close(const weak_meeting& w) {
  far_below([&] { w.lock()->values.close(); });
  settle();
}

/// The names of those that are reported, in order, with a blank behind each.
std::string reported() {
  gc::collect();
  std::vector<std::string> names;
  for (const auto& f : gc::leaked_fibers()) names.push_back(f.name);
  std::sort(names.begin(), names.end());
  std::string all;
  for (const auto& n : names) all += n + ' ';
  return all;
}

std::size_t times(const std::string& text, const std::string& words) {
  std::size_t n = 0;
  for (std::size_t at = text.find(words); at != std::string::npos; at = text.find(words, at + 1)) ++n;
  return n;
}

/// A way to wait, and how it ends.
struct way {
  const char* name;
  void (*wait)(meeting*);
  void (*wake)(meeting*);
};
const way ways[] = {
    {"receive", [](meeting* m) { (void)m->values.receive(); }, [](meeting* m) { m->values.close(); }},
    {"send",
     [](meeting* m) {
       try {
         m->values.send(1);
       } catch (const heddle::channel_closed&) {
       }
     },
     [](meeting* m) { m->values.close(); }},
    {"lock",
     [](meeting* m) {
       m->lock.lock();  // the second of two
       m->lock.unlock();
     },
     [](meeting* m) { m->lock.unlock(); }},
    {"notify",
     [](meeting* m) {
       std::unique_lock hold(m->lock);
       m->changed.wait(hold);
     },
     [](meeting* m) { m->changed.notify_all(); }},
    {"stop that cannot come", [](meeting* m) { (void)m->values.receive(std::stop_token()); },
     [](meeting* m) { m->values.close(); }},
    {"write",
     [](meeting* m) {
       m->shared.lock();
       m->shared.unlock();
     },
     [](meeting* m) { m->shared.unlock(); }},
    {"read",
     [](meeting* m) {
       m->shared.lock_shared();
       m->shared.unlock_shared();
     },
     [](meeting* m) { m->shared.unlock(); }},
    {"group", [](meeting* m) { m->group.wait(); }, [](meeting* m) { m->group.done(); }},
    {"latch", [](meeting* m) { m->done.wait(); }, [](meeting* m) { m->done.count_down(); }},
    {"permits", [](meeting* m) { m->permits.acquire(); }, [](meeting* m) { m->permits.release(); }},
    {"barrier", [](meeting* m) { m->both.arrive_and_wait(); }, [](meeting* m) { (void)m->both.arrive(); }},
    {"select",
     [](meeting* m) {
       heddle::receive_case a{m->values};
       heddle::receive_case b{m->others};
       heddle::select(a, b);
     },
     [](meeting* m) { m->others.close(); }},
};

/// Locks and counts what the ways wait for. Not on a stack that is looked at.
void begin(meeting* m, const way& w) {
  const std::string name = w.name;
  if (name == "lock") m->lock.lock();
  if (name == "write" || name == "read") m->shared.lock();
  if (name == "group") m->group.add(1);
}

struct reader_of {
  meeting_ptr m;
};
meeting_ptr global;
thread_local meeting_ptr of_thread;

/// Its destructor lasts.
struct holds_up {
  meeting_ptr none;
  ~holds_up() {
    begun = true;
    while (!let_go) heddle::this_fiber::yield();
  }
  static inline std::atomic<bool> begun{false};
  static inline std::atomic<bool> let_go{false};
};
struct closes_it {
  meeting_ptr m;
  ~closes_it() {
    m->values.close();
    ++ended;
  }
  static inline std::atomic<int> ended{0};
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(leaked_fibers, heddle::testing::collector_began)

BOOST_AUTO_TEST_CASE(whatever_it_waits_at_is_reported_until_it_is_resumed) {
  for (const way& w : ways) {
    BOOST_TEST_CONTEXT(w.name)
    in_runtime([&] {
      weak_meeting weak;
      far_below([&] {
        const meeting_ptr m = gc::make<meeting>();
        weak = m;
        begin(m, w);
        heddle::go({.name = w.name}, [m, &w] { w.wait(m); });
        settle();
      });
      settle();
      BOOST_TEST(reported() == std::string(w.name) + ' ');
      BOOST_TEST(reported() == std::string(w.name) + ' ');
      far_below([&] { w.wake(weak.lock()); });
      settle();
      BOOST_TEST(reported() == "");
    });
  }
}

BOOST_AUTO_TEST_CASE(the_report_says_who_where_and_at_what) {
  in_runtime([] {
    const weak_meeting w = leave_reader("reader");
    gc::collect();
    const auto all = gc::leaked_fibers();
    BOOST_REQUIRE(all.size() == 1);
    BOOST_TEST(all[0].name == "reader");
    BOOST_TEST(all[0].type == "meeting");
    BOOST_TEST(all[0].id.number() > heddle::this_fiber::get_id().number());
    const auto& where = all[0].where;
    BOOST_TEST(std::any_of(where.begin(), where.end(),
                           [](const std::string& s) { return s.find("waits_in_vain") != s.npos; }));
    close(w);
  });
}

BOOST_AUTO_TEST_CASE(each_is_reported_once_on_stderr) {
  const auto end = death_of([] {
    in_runtime([] {
      const weak_meeting w = leave_reader("reader");
      const weak_meeting v = leave_reader("another");
      for (int i = 0; i != 5; ++i) gc::collect();
      close(w);
      close(v);
    });
  });
  BOOST_TEST(end.signal == 0);
  BOOST_TEST(times(end.text, "waits for ever") == 2u);
  BOOST_TEST(times(end.text, "\"reader\" waits for ever") == 1u);
  BOOST_TEST(times(end.text, "waits_in_vain") == 2u);
  BOOST_TEST(end.says("(meeting, at 0x"));
}

BOOST_AUTO_TEST_CASE(what_something_holds_is_not_reported) {
  in_runtime([] {
    const weak_meeting w = leave_reader("reader");
    const auto is_held_by = [&](auto hold, auto let_go) {
      far_below([&] { hold(w.lock()); });
      BOOST_TEST(reported() == "");
      far_below(let_go);
      BOOST_TEST(reported() == "reader ");
    };
    is_held_by([](meeting_ptr m) { global = m; }, [] { global = nullptr; });
    is_held_by([](meeting_ptr m) { of_thread = m; }, [] { of_thread = nullptr; });

    std::vector<gc::root<meeting>> root(1);
    is_held_by([&](meeting_ptr m) { root[0] = m; }, [&] { root[0] = nullptr; });

    heddle::channel<meeting_ptr> channel(1);
    is_held_by([&](meeting_ptr m) { channel.send(m); }, [&] { (void)channel.receive(); });

    const gc::ptr<reader_of> chain = gc::make<reader_of>();
    is_held_by([&](meeting_ptr m) { chain->m = m; }, [&] { chain->m = nullptr; });

    // The key is reached late.
    using heddle::testing::witness;
    const gc::ptr<gc::ephemeron_map<witness, meeting>> map = gc::make<gc::ephemeron_map<witness, meeting>>();
    const gc::ptr<witness> list = heddle::testing::make_list(100'000);
    const auto last = [](witness* at) {
      while (at->next != nullptr) at = at->next;
      return at;
    };
    is_held_by([&](meeting_ptr m) { map->insert_or_assign(last(list), m); }, [&] { map->erase(last(list)); });

    meeting* plain = nullptr;
    is_held_by(
        [&](meeting_ptr m) {
          plain = m;
          asm volatile("" : : "r"(&plain) : "memory");
        },
        [&] {
          plain = nullptr;
          asm volatile("" : : "r"(&plain) : "memory");
        });
    close(w);
  });
}

BOOST_AUTO_TEST_CASE(what_another_fiber_holds_is_not_reported) {
  in_runtime([] {
    const weak_meeting w = leave_reader("reader");
    heddle::channel<int> elsewhere;
    far_below([&] {
      heddle::go({.name = "holder"}, [m = w.lock(), &elsewhere] {
        (void)elsewhere.receive();
        asm volatile("" : : "r"(m.get()));
      });
      settle();
    });
    BOOST_TEST(reported() == "");
    elsewhere.close();
    settle();
    BOOST_TEST(reported() == "reader ");
    close(w);
  });
}

/// One waits at an object that only the next one holds, and so on; `backwards`: the last one is made first.
void chain(std::size_t length, bool backwards) {
  gc::vector<weak_meeting> links(length);  // it must be scanned
  std::string all;
  for (std::size_t i = 0; i != length; ++i) all += "link ";
  gc::root<meeting> first;
  far_below([&] {
    std::vector<gc::root<meeting>> made(length);
    for (auto& m : made) m = gc::make<meeting>();
    for (std::size_t i = 0; i != length; ++i) links[i] = meeting_ptr(made[i]);
    for (std::size_t i = 0; i != length; ++i) {
      const std::size_t k = backwards ? length - 1 - i : i;
      const meeting_ptr held = k + 1 == length ? nullptr : meeting_ptr(made[k + 1]);
      heddle::go({.name = "link"}, [at = meeting_ptr(made[k]), held] {
        (void)at->values.receive();
        asm volatile("" : : "r"(held.get()));
      });
    }
    settle();
    first = made[0];
  });
  BOOST_TEST(reported() == "");
  first = nullptr;
  BOOST_TEST(reported() == all);
  for (const auto& l : links) close(l);
  BOOST_TEST(reported() == "");
}

BOOST_AUTO_TEST_CASE(chains) {
  in_runtime([] {
    for (const bool backwards : {false, true})
      for (const std::size_t length : {std::size_t{2}, std::size_t{60}}) chain(length, backwards);
  });
}

// Each scan of such a chain reaches one fiber more: it is given up, and nobody is accused.
BOOST_AUTO_TEST_CASE(a_very_long_chain_is_not_reported_while_it_is_held) {
  in_runtime([] { chain(90, true); });
  in_runtime([] {
    constexpr std::size_t length = 400;
    gc::root<meeting> first(gc::make<meeting>());
    std::vector<gc::root<meeting>> made(length);
    made[0] = first;
    for (std::size_t i = 1; i != length; ++i) made[i] = gc::make<meeting>();
    gc::vector<weak_meeting> links;
    for (const auto& m : made) links.push_back(weak_meeting(meeting_ptr(m)));
    far_below([&] {
      for (std::size_t k = length; k-- != 0;)
        heddle::go([at = meeting_ptr(made[k]), held = meeting_ptr(made[std::min(k + 1, length - 1)])] {
          (void)at->values.receive();
          asm volatile("" : : "r"(held.get()));
        });
      settle();
    });
    made.clear();
    BOOST_TEST(reported() == "");
    for (const auto& l : links) close(l);
  });
}

BOOST_AUTO_TEST_CASE(bounds_end_a_wait) {
  in_runtime([] {
    std::stop_source stop;
    leave_behind("timed", [](meeting* m) { (void)m->values.receive_for(300ms); });
    leave_behind("stopped", [t = stop.get_token()](meeting* m) { (void)m->values.receive(t); });
    leave_behind("select", [](meeting* m) {
      heddle::receive_case a{m->values};
      std::array<heddle::select_case*, 1> cases{&a};
      (void)heddle::select_for(cases, 300ms);
    });
    leave_behind("timed lock", [](meeting* m) {
      std::unique_lock hold(m->lock);
      (void)m->changed.wait_for(hold, 300ms);
    });
    leave_behind("asleep", [](meeting* m) {
      heddle::this_fiber::sleep_for(300ms);
      asm volatile("" : : "r"(m));
    });
    BOOST_TEST(reported() == "");
    stop.request_stop();
  });
}

BOOST_AUTO_TEST_CASE(a_select_waits_for_ever_only_if_nothing_reaches_any) {
  in_runtime([] {
    const meeting_ptr held = gc::make<meeting>();
    const weak_meeting w = leave_behind("select", [held](meeting* m) {
      heddle::receive_case a{m->values};
      heddle::receive_case b{held->values};
      heddle::select(a, b);
    });
    BOOST_TEST(reported() == "");
    heddle::channel<int> elsewhere;
    const weak_meeting v = leave_behind("half", [&elsewhere](meeting* m) {
      heddle::receive_case a{m->values};
      heddle::receive_case b{elsewhere};
      heddle::select(a, b);
    });
    BOOST_TEST(reported() == "");
    asm volatile("" : : "r"(held.get()));
    close(w);
    close(v);
  });
}

BOOST_AUTO_TEST_CASE(other_memory_is_not_known) {
  in_runtime([] {
    heddle::channel<int> here;
    const auto there = std::make_shared<heddle::channel<int>>();
    heddle::promise<int> promise;
    heddle::go({.name = "stack"}, [&] { (void)here.receive(); });
    heddle::go({.name = "malloc"}, [c = there.get()] { (void)c->receive(); });
    heddle::go({.name = "future"}, [f = promise.get_future()]() mutable { (void)f.get(); });
    settle();
    BOOST_TEST(reported() == "");
    here.close();
    there->close();
    promise.set_value(1);
    settle();
  });
}

// A destructor may wake it, of an object that this cycle finds dead; and that destructor may have to wait for others.
BOOST_AUTO_TEST_CASE(one_that_a_destructor_wakes_is_not_reported) {
  in_runtime([] {
    holds_up::let_go = false;
    far_below([] { gc::make<holds_up>(); });
    BOOST_TEST(heddle::testing::collect_until([] {
      settle();
      return holds_up::begun.load();
    }));
    const int before = closes_it::ended;
    far_below([] {
      const meeting_ptr m = gc::make<meeting>();
      gc::make<closes_it>(m);
      heddle::go({.name = "reader"}, [m] { waits_in_vain(m); });
      settle();
    });
    BOOST_TEST(heddle::testing::collect_until([] {
      heddle::testing::expect(gc::leaked_fibers().empty());
      return gc::statistics().destructors_queued == 1;
    }));
    for (int i = 0; i != 3; ++i) BOOST_TEST(reported() == "");
    holds_up::let_go = true;
    for (int i = 0; i != 1000 && closes_it::ended == before; ++i) settle();
    BOOST_TEST(closes_it::ended == before + 1);
    BOOST_TEST(reported() == "");
  });
}

// Pairs that play ping-pong while one cycle follows the other: each is parked most of the time, at an object that only
// the two of them hold.
BOOST_AUTO_TEST_CASE(none_that_is_woken_again_is_reported) {
  for (const unsigned procs : {1u, 2u}) {
    heddle::options o;
    o.procs = procs;
    heddle::run(
        [] {
          const heddle::testing::collecting collector;
          std::atomic<bool> over{false};
          std::vector<heddle::join_handle<void>> players;
          for (int i = 0; i != 20; ++i) {
            const meeting_ptr m = gc::make<meeting>();
            players.push_back(heddle::spawn([m, &over] {
              while (!over) {
                m->values.send(1);
                (void)m->others.receive();
              }
              m->values.close();
            }));
            players.push_back(heddle::spawn([m] {
              while (m->values.receive()) m->others.send(2);
            }));
          }
          std::size_t accused = 0;
          while (collector.cycles() < 20) {
            accused += gc::leaked_fibers().size();
            heddle::this_fiber::sleep_for(1ms);
          }
          over = true;
          for (auto& p : players) p.join();
          BOOST_TEST(accused == 0u);
        },
        o);
  }
}

// The only reference moves between objects while they are marked: perhaps behind the marker, each time.
BOOST_AUTO_TEST_CASE(what_moves_about_is_reached) {
  heddle::options o;
  o.procs = 2;
  heddle::run(
      [] {
        constexpr std::size_t places = 20'000;
        const gc::ptr<reader_of[]> at = gc::make_array<reader_of>(places);
        const weak_meeting w = leave_reader("reader");
        far_below([&] { at[0].m = w.lock(); });
        const heddle::testing::timer time(1s);
        std::atomic<bool> over{false};
        auto mover = heddle::spawn([&] {
          for (std::size_t i = 0, next = 0; !over; i = next) {
            next = (i + 7919) % places;
            at[next].m = std::move(at[i].m);
          }
        });
        std::size_t accused = 0;
        for (int looks = 0; looks < 50 || !time.is_over(); ++looks) {
          gc::collect();
          accused += gc::leaked_fibers().size();
        }
        over = true;
        mover.join();
        BOOST_TEST(accused == 0u);
        close(w);
      },
      o);
}

BOOST_AUTO_TEST_CASE(what_it_holds_lives_on) {
  in_runtime([] {
    const weak_meeting w = leave_behind("keeper", [](meeting* m) {
      const gc::ptr<heddle::testing::witness> list = heddle::testing::make_list(1000);
      (void)m->values.receive();
      heddle::testing::expect(heddle::testing::is_whole_list(list));
    });
    for (int i = 0; i != 5; ++i) BOOST_TEST(reported() == "keeper ");
    for (std::uint64_t i = 0; i != 100'000; ++i) gc::make<heddle::testing::witness>(nullptr, i, i);
    close(w);
  });
}

// --- HEDDLE_GC=leaks ------------------------------------------------------------------------------------------------

// In a process of its own, which the next one begins.
BOOST_AUTO_TEST_CASE(inner, *boost::unit_test::disabled()) {
  in_runtime([] {
    const weak_meeting w = leave_reader("reader");
    const auto end = gc::statistics().cycles + 6;
    while (gc::statistics().cycles < end) gc::make<std::array<char, 1000>>();
    close(w);
  });
}

BOOST_AUTO_TEST_CASE(the_option_has_each_cycle_look) {
  for (const bool looks : {true, false}) {
    const auto end = death_of([&] {
      ::setenv("HEDDLE_GC", looks ? "leaks,percent=1" : "percent=1", 1);
      ::execl("/proc/self/exe", "test", "--run_test=leaked_fibers/inner", static_cast<char*>(nullptr));
    });
    BOOST_TEST(end.signal == 0);
    BOOST_TEST(end.says("\"reader\" waits for ever") == looks);
  }
}

BOOST_AUTO_TEST_SUITE_END()
