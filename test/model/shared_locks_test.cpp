// SPDX-License-Identifier: BSL-1.0
//
// Locks with readers and writers, with deadlines and stop requests and without, between plain threads; some with fibers
// of a whole runtime.
#include <boost/test/unit_test.hpp>
#include <mutex>
#include <optional>
#include <shared_mutex>

#include "heddle/fiber.hpp"
#include "heddle/run.hpp"
#include "heddle/shared_mutex.hpp"
#include "locks.hpp"

namespace heddle {

/// What only tests may do.
struct shared_mutex_probe {
  /// As if readers had met at the word.
  template <class M>
  static void bias(M& m) noexcept {
    static_cast<shared_mutex&>(m).state_.store(shared_mutex::biased, std::memory_order_relaxed);
  }
  static bool biased(const shared_mutex& m) noexcept {
    return (m.state_.load(std::memory_order_relaxed) & shared_mutex::biased) != 0;
  }
};

}  // namespace heddle

namespace {

using namespace locks;
BOOST_TEST_GLOBAL_FIXTURE(warm_up);

using heddle::shared_mutex_probe;

using heddle::shared_timed_mutex;

/// Each locks twice.
template <int Readers, int Writers, bool Biased = false>
void readers_and_writers() {
  heddle::shared_mutex m;
  if (Biased) shared_mutex_probe::bias(m);
  guarded g;
  const auto write = [&] {
    for (int i = 0; i != 2; ++i) {
      const std::lock_guard hold(m);
      g.write();
    }
  };
  const auto read = [&] {
    for (int i = 0; i != 2; ++i) {
      const std::shared_lock hold(m);
      g.read();
    }
  };
  {
    model::thread reader(read);
    std::optional<model::thread<decltype(read)>> second_reader;
    std::optional<model::thread<decltype(write)>> second_writer;
    if (Readers > 1) second_reader.emplace(read);
    if (Writers > 1) second_writer.emplace(write);
    write();
  }
  model::check(m.try_lock(), "left locked");
  model::check(g.value == 2 * Writers, "an increment was lost");
  m.unlock();
}

/// Readers that hold it while others come: a writer between them must not be overtaken into a deadlock.
void readers_meet_inside() {
  heddle::shared_mutex m;
  guarded g;
  m.lock_shared();
  {
    model::thread writer([&] {
      const std::lock_guard hold(m);
      g.write();
    });
    model::thread reader([&] {
      const std::shared_lock hold(m);
      g.read();
    });
    g.read();
    m.unlock_shared();
  }
  model::check(m.try_lock(), "left locked");
  m.unlock();
}

template <bool Biased>
void shared_tries() {
  heddle::shared_mutex m;
  if (Biased) shared_mutex_probe::bias(m);
  guarded g;
  {
    model::thread reader([&] {
      if (!m.try_lock_shared()) return;
      g.read();
      m.unlock_shared();
    });
    model::thread writer([&] {
      if (!m.try_lock()) return;
      g.write();
      m.unlock();
    });
    const std::shared_lock hold(m);
    g.read();
  }
  model::check(m.try_lock(), "left locked");
  m.unlock();
}

/// The last one inside destroys it: it learns that it is the last by having locked it alone.
template <bool ReaderIsLast, bool Biased = false>
void shared_mutex_dies_early() {
  auto* m = new heddle::shared_mutex;
  if (Biased) shared_mutex_probe::bias(*m);
  heddle::detail::atomic<int> readers{2};
  const auto read = [&] {
    m->lock_shared();
    readers.fetch_sub(1, std::memory_order_acq_rel);
    m->unlock_shared();
  };
  model::thread one(read);
  model::thread two(read);
  bool last = false;
  while (!last) {
    m->lock();
    last = readers.load(std::memory_order_acquire) == 0;
    m->unlock();
    if (!last) heddle::detail::platform::cpu_relax();
  }
  if (ReaderIsLast) {
    m->lock_shared();
    m->unlock_shared();
  }
  delete m;
}

/// The writer lets readers in and is gone; the last of them destroys it.
void readers_outlive_the_writer() {
  auto* m = new heddle::shared_mutex;
  bool written = false;
  model::thread writer([&] {
    m->lock();
    written = true;
    m->unlock();
  });
  for (bool seen = false; !seen;) {
    m->lock_shared();
    seen = written;
    m->unlock_shared();
    if (!seen) heddle::detail::platform::cpu_relax();
  }
  delete m;
}

/// While one reads and stays until another has read, too, a writer gives up.
template <bool ByStop>
void writer_gives_up_before_readers() {
  shared_timed_mutex m;
  guarded g;
  heddle::detail::stop_source stop;
  const heddle::detail::stop_token token = stop.get_token();
  m.lock_shared();
  {
    model::thread writer([&] {
      const bool got = ByStop ? m.lock(token) : m.try_lock_for(soon);
      model::check(!got, "written while another reads");
    });
    {
      model::thread reader([&] {
        for (int i = 0; i != 3; ++i) {
          const std::shared_lock hold(m);
          g.read();
        }
      });
      if (ByStop) stop.request_stop();
    }
  }
  m.unlock_shared();
}

/// All with deadlines but one of each, so that somebody notices what is lost.
void deadlines_of_all() {
  shared_timed_mutex m;
  guarded g;
  {
    model::thread writer([&] {
      if (!m.try_lock_for(soon)) return;
      g.write();
      m.unlock();
    });
    model::thread reader([&] {
      if (!m.try_lock_shared_for(soon)) return;
      g.read();
      m.unlock_shared();
    });
    model::thread patient([&] {
      const std::shared_lock hold(m);
      g.read();
    });
    const std::lock_guard hold(m);
    g.write();
  }
  model::check(m.try_lock(), "left locked");
  m.unlock();
}

/// Two writers with deadlines queue behind a reader, which then has to serve or not to.
void two_writers_give_up() {
  shared_timed_mutex m;
  guarded g;
  const auto write = [&] {
    if (!m.try_lock_for(soon)) return;
    g.write();
    m.unlock();
  };
  {
    m.lock_shared();
    model::thread one(write);
    model::thread two(write);
    g.read();
    m.unlock_shared();
    const std::shared_lock again(m);
    g.read();
  }
  model::check(m.try_lock(), "left locked");
  m.unlock();
}

void readers_are_stopped() {
  heddle::shared_mutex m;
  guarded g;
  heddle::detail::stop_source stop;
  const heddle::detail::stop_token token = stop.get_token();
  {
    model::thread reader([&] {
      if (!m.lock_shared(token)) return;
      g.read();
      m.unlock_shared();
    });
    model::thread writer([&] {
      const std::lock_guard hold(m);
      g.write();
    });
    m.lock();
    stop.request_stop();
    g.write();
    m.unlock();
  }
  model::check(m.try_lock(), "left locked");
  m.unlock();
}

/// One that tries to write, and gives up at once, hides no reader from the next writer.
void a_try_between_readers() {
  heddle::shared_mutex m;
  shared_mutex_probe::bias(m);
  guarded g;
  {
    model::thread reader([&] {
      const std::shared_lock hold(m);
      g.read();
    });
    model::thread trying([&] {
      if (!m.try_lock()) return;
      g.write();
      m.unlock();
    });
    if (m.try_lock_shared()) {
      g.read();
      m.unlock_shared();
    }
    const std::lock_guard hold(m);
    g.write();
  }
  model::check(m.try_lock(), "left locked");
  m.unlock();
}

/// try_lock_shared() fails only if somebody writes or waits for it, whatever the bias.
void readers_alone_never_fail() {
  heddle::shared_mutex m;
  shared_mutex_probe::bias(m);
  m.lock_shared();
  {
    model::thread trying([&] { model::check(!m.try_lock(), "written while another reads"); });
    model::check(m.try_lock_shared(), "no writer, and yet not shared");
    m.unlock_shared();
  }
  m.unlock_shared();
}

/// A writer with a deadline ends the bias; the one after it must see what those did who left by slots.
void bias_ended_by_one_who_gives_up() {
  shared_timed_mutex m;
  shared_mutex_probe::bias(m);
  guarded g;
  const auto read = [&] {
    const std::shared_lock hold(m);
    g.read();
  };
  {
    model::thread one(read);
    model::thread two(read);
    model::thread impatient([&] {
      if (!m.try_lock_for(soon)) return;
      g.write();
      m.unlock();
    });
    const std::lock_guard hold(m);
    g.write();
  }
  model::check(m.try_lock(), "left locked");
  m.unlock();
}

/// Readers that meet at the word set the bias, and nobody else does.
void readers_become_biased() {
  heddle::shared_mutex m;
  guarded g;
  const auto read = [&] {
    for (int i = 0; i != 3; ++i) {
      const std::shared_lock hold(m);
      g.read();
    }
  };
  {
    model::thread one(read);
    model::thread two(read);
    read();
  }
  {
    const std::lock_guard hold(m);
    g.write();
    model::check(!shared_mutex_probe::biased(m), "biased while written");
  }
}

template <unsigned Procs>
void fibers_read_and_write() {
  shared_timed_mutex m;
  guarded g;
  heddle::run(
      [&] {
        auto writer = heddle::spawn([&] {
          if (!m.try_lock_for(soon)) return;
          g.write();
          m.unlock();
        });
        auto reader = heddle::spawn([&] {
          const std::shared_lock hold(m);
          g.read();
        });
        {
          const std::lock_guard hold(m);
          g.write();
        }
        writer.join();
        reader.join();
      },
      {.procs = Procs, .monitor = false});
  model::check(g.value == g.written, "an increment was lost");
}

}  // namespace

BOOST_AUTO_TEST_SUITE(as_it_is)
BOOST_AUTO_TEST_CASE(reader_writer) { right(readers_and_writers<1, 1>); }
BOOST_AUTO_TEST_CASE(readers_writer) { right(readers_and_writers<2, 1>); }
BOOST_AUTO_TEST_CASE(reader_writers) { right(readers_and_writers<1, 2>); }
BOOST_AUTO_TEST_CASE(meet_inside) { right(readers_meet_inside); }
BOOST_AUTO_TEST_CASE(tries) { right(shared_tries<false>); }
BOOST_AUTO_TEST_CASE(destroyed_by_writer) { right(shared_mutex_dies_early<false>); }
BOOST_AUTO_TEST_CASE(destroyed_by_reader) { right(shared_mutex_dies_early<true>); }
BOOST_AUTO_TEST_CASE(destroyed_after_the_writer) { right(readers_outlive_the_writer); }
BOOST_AUTO_TEST_CASE(writer_gives_up) { right(writer_gives_up_before_readers<false>); }
BOOST_AUTO_TEST_CASE(writer_is_stopped) { right(writer_gives_up_before_readers<true>); }
BOOST_AUTO_TEST_CASE(deadlines_everywhere) { right(deadlines_of_all); }
BOOST_AUTO_TEST_CASE(writers_give_up) { right(two_writers_give_up); }
BOOST_AUTO_TEST_CASE(shared_stop) { right(stop_meets_unlock<heddle::shared_mutex>); }
BOOST_AUTO_TEST_CASE(shared_stop_alone) { right(stop_alone_wakes<heddle::shared_mutex>); }
BOOST_AUTO_TEST_CASE(reader_is_stopped) { right(readers_are_stopped); }
BOOST_AUTO_TEST_CASE(fiber_readers_one) { right(fibers, fibers_read_and_write<1>); }
BOOST_AUTO_TEST_CASE(fiber_readers_two) { right(fibers, fibers_read_and_write<2>); }
BOOST_AUTO_TEST_CASE(biased_reader_writer) { right(readers_and_writers<1, 1, true>); }
BOOST_AUTO_TEST_CASE(biased_readers_writer) { right(readers_and_writers<2, 1, true>); }
BOOST_AUTO_TEST_CASE(biased_reader_writers) { right(readers_and_writers<1, 2, true>); }
BOOST_AUTO_TEST_CASE(biased_tries) { right(shared_tries<true>); }
BOOST_AUTO_TEST_CASE(biased_destroyed_by_writer) { right(shared_mutex_dies_early<false, true>); }
BOOST_AUTO_TEST_CASE(biased_destroyed_by_reader) { right(shared_mutex_dies_early<true, true>); }
BOOST_AUTO_TEST_CASE(biased_try_between) { right(a_try_between_readers); }
BOOST_AUTO_TEST_CASE(biased_never_fails) { right(readers_alone_never_fail); }
BOOST_AUTO_TEST_CASE(biased_writer_gives_up) { right(bias_ended_by_one_who_gives_up); }
BOOST_AUTO_TEST_CASE(becomes_biased) { right(readers_become_biased); }
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(planted)
BOOST_AUTO_TEST_CASE(slot_without_fence) { wrong(model::plant::slot_without_fence, readers_and_writers<1, 1, true>); }
BOOST_AUTO_TEST_CASE(slot_left_relaxed) { wrong(model::plant::slot_left_relaxed, readers_and_writers<1, 1, true>); }
BOOST_AUTO_TEST_CASE(bias_not_looked_at_again) {
  wrong(model::plant::bias_not_looked_at_again, readers_and_writers<1, 1, true>);
}
BOOST_AUTO_TEST_CASE(bias_cleared_relaxed) {
  wrong(model::plant::bias_cleared_relaxed, readers_and_writers<1, 1, true>);
}
BOOST_AUTO_TEST_CASE(slots_not_moved) { wrong(model::plant::slots_not_moved, readers_and_writers<1, 1, true>); }
BOOST_AUTO_TEST_CASE(bias_ends_unannounced) {
  wrong(model::plant::bias_ends_unannounced, readers_and_writers<2, 2, true>);
}
BOOST_AUTO_TEST_CASE(moved_not_counted) { wrong(model::plant::moved_not_counted, readers_and_writers<1, 1, true>); }
BOOST_AUTO_TEST_CASE(mover_forgets_others) { wrong(model::plant::mover_forgets_others, a_try_between_readers); }
BOOST_AUTO_TEST_CASE(bias_despite_flags) { wrong(model::plant::bias_despite_flags, readers_and_writers<2, 1>); }
BOOST_AUTO_TEST_CASE(reader_leaves_relaxed) { wrong(model::plant::reader_leaves_relaxed, readers_and_writers<1, 1>); }
BOOST_AUTO_TEST_CASE(last_reader_serves_not) {
  wrong(model::plant::last_reader_serves_not, readers_and_writers<1, 1>, "deadlock");
}
BOOST_AUTO_TEST_CASE(last_reader_looks_once) { wrong(model::plant::last_reader_looks_once, two_writers_give_up); }
BOOST_AUTO_TEST_CASE(looker_does_not_serve) {
  wrong(model::plant::looker_does_not_serve, readers_and_writers<2, 1>, "deadlock");
}
BOOST_AUTO_TEST_CASE(looker_stays_counted) { wrong(model::plant::looker_stays_counted, readers_and_writers<1, 1>); }
BOOST_AUTO_TEST_CASE(one_reader_admitted) {
  wrong(model::plant::one_reader_admitted, readers_and_writers<2, 1>, "deadlock");
}
BOOST_AUTO_TEST_CASE(leaver_forgets_readers) {
  wrong(model::plant::leaver_forgets_readers, writer_gives_up_before_readers<false>, "deadlock");
}
BOOST_AUTO_TEST_SUITE_END()
