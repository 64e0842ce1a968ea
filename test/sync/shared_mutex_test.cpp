// SPDX-License-Identifier: BSL-1.0
#include "heddle/shared_mutex.hpp"

#include <algorithm>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <thread>

#include "heddle/fiber.hpp"
#include "heddle/run.hpp"
#include "heddle/this_fiber.hpp"
#include "support/crew.hpp"
#include "support/death.hpp"
#include "support/leak_check.hpp"
#include "support/lockable.hpp"
#include "support/scale.hpp"

namespace {

using namespace std::chrono_literals;
using heddle::testing::all_settings;
using heddle::testing::crew;
using heddle::testing::death_of;
using heddle::testing::is_free;
using heddle::testing::kind;
using heddle::testing::late;
using heddle::testing::one_at_a_time;
using heddle::testing::settle;
using heddle::testing::time_of;
using heddle::testing::times;
using heddle::testing::with_crew;

static_assert(heddle::testing::shared_lockable<heddle::shared_mutex>);
static_assert(heddle::testing::stop_lockable<heddle::shared_mutex>);
static_assert(!heddle::testing::timed_lockable<heddle::shared_mutex>);
constinit heddle::shared_mutex usable_before_main;

}  // namespace

BOOST_FIXTURE_TEST_SUITE(shared_mutex, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(one_writer_or_many_readers) {
  heddle::shared_mutex& m = usable_before_main;
  BOOST_TEST(m.try_lock());
  BOOST_TEST(!m.try_lock());
  BOOST_TEST(!m.try_lock_shared());
  m.unlock();
  BOOST_TEST(m.try_lock_shared());
  BOOST_TEST(m.try_lock_shared());
  BOOST_TEST(!m.try_lock());
  m.unlock_shared();
  BOOST_TEST(!m.try_lock());
  m.unlock_shared();
  BOOST_TEST(is_free(m));
}

BOOST_AUTO_TEST_CASE(is_lockable_for_std) {
  heddle::shared_timed_mutex a;
  heddle::shared_mutex b;
  {
    const std::shared_lock one(a);
    const std::shared_lock two(a, 1ms);
    BOOST_TEST(two.owns_lock());
    std::unique_lock writer(a, 1ms);
    BOOST_TEST(!writer.owns_lock());
    BOOST_TEST(!writer.try_lock_until(std::chrono::system_clock::now() + 1ms));
  }
  {
    const std::scoped_lock both(a, b);
    std::shared_lock reader(a, 1ms);
    BOOST_TEST(!reader.owns_lock());
    BOOST_TEST(!reader.try_lock_until(std::chrono::system_clock::now() + 1ms));
  }
  std::unique_lock first(a, std::defer_lock);
  std::shared_lock second(b, std::defer_lock);
  std::lock(first, second);
}

BOOST_AUTO_TEST_CASE(readers_are_inside_together) {
  for (const auto& s : all_settings) {
    heddle::shared_mutex m;
    std::atomic<int> inside{0};
    with_crew(s, [&](crew& c) {
      for (int reader = 0; reader < 5; ++reader)
        c.start([&] {
          const std::shared_lock hold(m);
          ++inside;
          while (inside.load() < 5) heddle::this_fiber::yield();  // for ever, if one keeps another out
        });
    });
    BOOST_TEST(inside.load() == 5, s);
  }
}

BOOST_AUTO_TEST_CASE(writers_keep_all_others_out) {
  for (const auto& s : all_settings) {
    heddle::shared_mutex m;
    long count = 0, shadow = 0;  // not atomic: TSan would see two inside
    std::atomic<long> torn{0};
    with_crew(s, [&](crew& c) {
      for (int worker = 0; worker < 8; ++worker)
        c.start([&, worker] {
          for (int i = 0; i < times(4'000); ++i)
            if ((worker + i) % 5 == 0) {
              const std::lock_guard hold(m);
              ++count;
              if (i % 64 == 0) heddle::this_fiber::yield();
              ++shadow;
            } else {
              const std::shared_lock hold(m);
              if (i % 64 == 0) heddle::this_fiber::yield();
              torn += count != shadow;
            }
        });
    });
    BOOST_TEST(count == 8L * times(4'000) / 5, s);
    BOOST_TEST(torn.load() == 0, s);
    BOOST_TEST(is_free(m), s);
  }
}

// A writer that waits stops new readers; its unlock lets in all that have come, before the next writer.
BOOST_AUTO_TEST_CASE(phases_alternate) {
  std::string order;
  with_crew(one_at_a_time, [&](crew& c) {
    heddle::shared_mutex m;
    const auto write = [&](char name) {
      c.start([&, name] {
        const std::lock_guard hold(m);
        order += name;
        settle();  // the next writer would come in between if it could
      });
      settle();
    };
    const auto read = [&](char name) {
      c.start([&, name] {
        const std::shared_lock hold(m);
        order += name;
        settle();
        order += '.';
      });
      settle();
    };
    m.lock_shared();
    write('A');
    BOOST_TEST(!m.try_lock_shared());
    read('b');
    write('C');
    read('d');
    read('e');
    write('F');
    m.unlock_shared();
    c.join();
  });
  BOOST_TEST(order == "Abde...CF");
}

BOOST_AUTO_TEST_CASE(no_writer_starves_behind_readers_that_never_stop) {
  for (const auto& s : all_settings) {
    heddle::shared_mutex m;
    std::atomic<bool> stop{false};
    std::atomic<long> worst_us{0};
    with_crew(s, [&](crew& c) {
      for (int reader = 0; reader < 4; ++reader)
        c.start([&] {
          // Each comes back before the others have left: somebody is always inside.
          while (!stop.load()) {
            const std::shared_lock hold(m);
            for (const auto until = std::chrono::steady_clock::now() + 20us; std::chrono::steady_clock::now() < until;)
              heddle::this_fiber::yield();
          }
        });
      c.start([&] {
        for (int i = 0; i < 10; ++i) {
          const long us = time_of([&] { m.lock(); }) / 1us;
          m.unlock();
          worst_us = std::max(worst_us.load(), us);
        }
        stop = true;
      });
    });
    BOOST_TEST(worst_us.load() < late / 1us, s);
  }
}

BOOST_AUTO_TEST_CASE(no_reader_starves_behind_writers_that_never_stop) {
  for (const auto& s : all_settings) {
    heddle::shared_mutex m;
    std::atomic<bool> stop{false};
    std::atomic<long> worst_us{0};
    with_crew(s, [&](crew& c) {
      for (int writer = 0; writer < 4; ++writer)
        c.start([&] {
          while (!stop.load()) {
            const std::lock_guard hold(m);
            for (const auto until = std::chrono::steady_clock::now() + 20us;
                 std::chrono::steady_clock::now() < until;) {
            }
          }
        });
      c.start([&] {
        for (int i = 0; i < 10; ++i) {
          const long us = time_of([&] { m.lock_shared(); }) / 1us;
          m.unlock_shared();
          worst_us = std::max(worst_us.load(), us);
        }
        stop = true;
      });
    });
    BOOST_TEST(worst_us.load() < late / 1us, s);
  }
}

// Who has locked it alone knows that all readers have left, though an unlock_shared() may still be on its way out.
BOOST_AUTO_TEST_CASE(may_be_destroyed_by_the_next_holder) {
  struct shared {
    heddle::shared_mutex m;
    std::atomic<int> readers{3};
  };
  for (const auto& s : all_settings)
    for (int round = 0; round < times(s.who == kind::fibers ? 300 : 30); ++round)
      with_crew(s, [&](crew& c) {
        auto* const object = new shared;
        for (int reader = 0; reader < 3; ++reader)
          c.start([object] {
            object->m.lock_shared();
            --object->readers;
            object->m.unlock_shared();
          });
        c.start([object] {
          for (bool last = false; !last;) {
            object->m.lock();
            last = object->readers == 0;
            object->m.unlock();
            if (!last) heddle::this_fiber::yield();
          }
          delete object;
        });
      });
}

BOOST_AUTO_TEST_CASE(holders_may_move_between_threads) {
  heddle::shared_mutex m;
  std::atomic<bool> stop{false};
  bool writer_moved = false, reader_moved = false;
  with_crew({kind::fibers, 2}, [&](crew& c) {
    for (int i = 0; i < 2; ++i)
      c.start([&] {
        while (!stop.load()) heddle::this_fiber::yield();
      });
    c.start([&] {
      m.lock();
      writer_moved = heddle::testing::move_to_another_thread();
      m.unlock();
      m.lock_shared();
      reader_moved = heddle::testing::move_to_another_thread();
      m.unlock_shared();
      stop = true;
    });
  });
  BOOST_TEST(writer_moved);
  BOOST_TEST(reader_moved);
  BOOST_TEST(is_free(m));
}

BOOST_AUTO_TEST_CASE(unlocking_what_is_not_locked_is_reported) {
  const auto unlock = death_of([] {
    heddle::shared_mutex m;
    m.lock_shared();
    m.unlock();
  });
  BOOST_TEST(unlock.signal == SIGABRT);
  BOOST_TEST(unlock.says("heddle: shared_mutex 0x"), unlock.text);
  BOOST_TEST(unlock.says("unlock() of what is not locked by a writer"), unlock.text);
  const auto shared = death_of([] {
    heddle::shared_timed_mutex m;
    m.lock();
    m.unlock_shared();
  });
  BOOST_TEST(shared.signal == SIGABRT);
  BOOST_TEST(shared.says("heddle: shared_timed_mutex 0x"), shared.text);
  BOOST_TEST(shared.says("unlock_shared() of what no reader has locked"), shared.text);
  const auto never = death_of([] {
    heddle::shared_mutex m;
    m.unlock_shared();
  });
  BOOST_TEST(never.says("unlock_shared() of what no reader has locked"), never.text);
}

BOOST_AUTO_TEST_CASE(destruction_in_use_is_reported) {
  const auto locked = death_of([] {
    heddle::shared_timed_mutex m;
    m.lock();
  });
  BOOST_TEST(locked.signal == SIGABRT);
  BOOST_TEST(locked.says("heddle: shared_timed_mutex 0x"), locked.text);
  BOOST_TEST(locked.says("destroyed while locked"), locked.text);
  const auto shared = death_of([] {
    heddle::shared_mutex m;
    m.lock_shared();
  });
  BOOST_TEST(shared.says("destroyed while readers hold it"), shared.text);
  const auto crowded = death_of([] {  // readers that have met no longer count, but use slots
    heddle::shared_mutex m;
    {
      const auto read = [&m] {
        for (int i = 0; i < times(3'000'000); ++i) {
          m.lock_shared();
          m.unlock_shared();
        }
      };
      std::jthread one(read), another(read);
    }
    m.lock_shared();
  });
  BOOST_TEST(crowded.says("destroyed while readers hold it"), crowded.text);
  const auto awaited = death_of([] {
    with_crew(one_at_a_time, [](crew& c) {
      heddle::shared_mutex m;
      m.lock_shared();
      c.start([&] { m.lock(); });
      settle();
    });
  });
  BOOST_TEST(awaited.says("destroyed while others wait"), awaited.text);
}

BOOST_AUTO_TEST_SUITE_END()
