// SPDX-License-Identifier: BSL-1.0
//
// What has been freed goes back to the kernel, and what has not been freed stays as it is.
#include "scavenger.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <random>
#include <thread>
#include <vector>

#include "blocks.hpp"
#include "heddle/run.hpp"
#include "mcentral.hpp"
#include "options.hpp"
#include "support/death.hpp"
#include "support/leak_check.hpp"

using namespace heddle::detail;

namespace {

constexpr std::size_t mib = std::size_t{1} << 20;

/// Bytes of the heap's window that have memory; the program's own memory does not count.
std::size_t resident() {
  std::size_t pages = 0;
  const mheap_figures f = the_mheap.figures();
  std::vector<unsigned char> there(f.mapped / 4096);
  // The heap grows from its base on, unless something else is mapped there.
  if (there.empty() || ::mincore(the_map.address(0), f.mapped, there.data()) != 0) return 0;
  for (const unsigned char c : there) pages += c & 1;
  return pages * 4096;
}

struct block {
  unsigned char* at;
  std::size_t size;
  void fill() const { std::memset(at, tag(), size); }
  bool intact() const {
    for (std::size_t i = 0; i != size; ++i)
      if (at[i] != tag()) return false;
    return true;
  }
  unsigned char tag() const { return static_cast<unsigned char>(reinterpret_cast<std::uintptr_t>(at) >> 4 | 1); }
};

std::vector<block> allocate(std::size_t bytes, std::size_t least, std::size_t most, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<block> all;
  for (std::size_t sum = 0; sum < bytes;) {
    const std::size_t size = least + random() % (most - least + 1);
    block b{static_cast<unsigned char*>(blocks::allocate(size)), size};
    BOOST_REQUIRE(b.at != nullptr);
    b.fill();
    all.push_back(b);
    sum += size;
  }
  return all;
}

/// Keeps each n-th at random; returns the bytes kept.
std::size_t free_all_but(std::vector<block>& all, unsigned n) {
  std::mt19937 random(99);
  std::vector<block> kept;
  std::size_t bytes = 0;
  for (const block& b : all) {
    if (random() % n == 0) {
      kept.push_back(b);
      bytes += b.size;
    } else {
      blocks::deallocate(b.at);
    }
  }
  all.swap(kept);
  return bytes;
}

void flush() {
  if (this_mcache != &nobodys_mcache) this_mcache->drain();
}

void free_all(const std::vector<block>& all) {
  for (const block& b : all) blocks::deallocate(b.at);
  flush();
}

template <class F>
bool within(std::chrono::seconds limit, F f) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!f()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

/// A scavenger that does not keep tests waiting, or none.
struct pace : heddle::testing::leak_check {
  alloc_options before_options = the_options;
  pace() {
    flush();
    the_options.scavenger = scavenging::off;
    the_scavenger.release_all();
  }
  void teardown() {
    the_options = before_options;
    leak_check::teardown();
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(scavenger_gives_back, pace)

BOOST_AUTO_TEST_CASE(all_of_it_when_all_is_free) {
  const std::size_t at_first = resident();
  std::vector<block> all = allocate(64 * mib, 16, 100'000, 1);
  BOOST_TEST(resident() >= at_first + 64 * mib);
  free_all(all);
  BOOST_TEST(the_scavenger.release_all() >= 48 * mib);
  BOOST_TEST(resident() <= at_first + mib);
}

/// Of blocks as large as pages or larger, what lies between those in use is given back.
BOOST_AUTO_TEST_CASE(pages_between_blocks_in_use) {
  std::vector<block> all = allocate(64 * mib, 4'097, 40'000, 2);
  const std::size_t before_bytes = resident();
  const std::size_t kept = free_all_but(all, 10);
  flush();
  the_scavenger.release_all();
  const std::size_t after = resident();
  BOOST_TEST(after <= before_bytes / 3,
             after / mib << " of " << before_bytes / mib << " MiB, " << kept / mib << " in use");
  for (const block& b : all) BOOST_REQUIRE(b.intact());
  // What has been given back can be used again, and hits nobody.
  const std::vector<block> more = allocate(32 * mib, 4'097, 40'000, 3);
  for (const block& b : all) BOOST_REQUIRE(b.intact());
  for (const block& b : more) BOOST_REQUIRE(b.intact());
  free_all(more);
  free_all(all);
}

/// Small ones share pages with those in use; what is left is still sound.
BOOST_AUTO_TEST_CASE(small_blocks_stay_intact) {
  std::vector<block> all = allocate(16 * mib, 1, 300, 4);
  free_all_but(all, 10);
  flush();
  the_scavenger.release_all();
  const std::vector<block> more = allocate(16 * mib, 1, 300, 5);
  for (const block& b : all) BOOST_REQUIRE(b.intact());
  for (const block& b : more) BOOST_REQUIRE(b.intact());
  free_all(more);
  free_all(all);
}

BOOST_AUTO_TEST_CASE(tidy_leaves_what_is_in_use) {
  constexpr std::size_t size = 16'384;
  mcache& c = *the_mcache_pool.take();
  void* all[4];
  for (void*& p : all) p = c.refill(class_for(size));
  span& s = the_map.span_of(all[0]);
  std::memset(all[2], 7, size);
  auto* const b = static_cast<free_block*>(all[0]);
  b->next = s.free;
  s.free = b;
  --s.live;
  const std::uint32_t in_use = s.in_use();
  BOOST_TEST(tidy(s) == size);
  BOOST_TEST(s.in_use() == in_use);
  BOOST_TEST(s.free == nullptr);
  BOOST_TEST(s.fresh == std::uint64_t{1} << s.index_of(all[0]));
  BOOST_TEST(static_cast<char*>(all[2])[size - 1] == 7);
  BOOST_TEST(static_cast<char*>(all[0])[0] == 0);
  BOOST_TEST(c.refill(s.klass) == all[0]);
  for (void* const p : all) c.put_back(s, p);
  the_mcache_pool.give(c);
}

BOOST_AUTO_TEST_SUITE_END()

namespace {

constexpr nanoseconds_t unlimited = nanoseconds_t{1} << 60;

std::size_t released_so_far() { return the_mheap.figures().released; }

/// Bytes that a step gives back.
std::size_t released_by_step(std::uint32_t rounds, nanoseconds_t most = unlimited) {
  const std::size_t before = released_so_far();
  the_scavenger.step(rounds, most);
  return released_so_far() - before;
}

/// Free pages with memory, all of them in the same state.
void leave_idle(std::size_t bytes) {
  free_all(allocate(bytes, 100'000, 100'000, 7));
  blocks::deallocate(blocks::allocate(3'000'000));
}

/// As many rounds as make free memory old; nothing of it goes back in them.
void make_old() {
  for (std::uint32_t i = 0; i != scavenger::rounds_per_pace; ++i) BOOST_TEST(released_by_step(1) == 0u);
}

/// A thread of the program that has allocated something, and sleeps.
class companion {
 public:
  companion() {
    std::atomic<bool> there{false};
    thread_ = std::thread([&there, this] {
      blocks::deallocate(blocks::allocate(100));
      there = true;
      while (!over_) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    });
    while (!there) std::this_thread::yield();
  }
  ~companion() {
    over_ = true;
    thread_.join();
  }
  companion(const companion&) = delete;
  companion& operator=(const companion&) = delete;

 private:
  std::atomic<bool> over_{false};
  std::thread thread_;
};

/// Calls the short paths only, until f() is true.
template <class F>
bool within_calls(std::chrono::seconds limit, F f) {
  return within(limit, [&] {
    blocks::deallocate(blocks::allocate(10));
    return f();
  });
}

void wait_until_at_rest() {
  BOOST_TEST_REQUIRE(within_calls(std::chrono::seconds(20), [] { return !the_scavenger.waits(); }),
                     "memory waits for ever");
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(scavenger_steps, pace)

/// Memory that has been free for four rounds goes back, and no other.
BOOST_AUTO_TEST_CASE(what_was_freed_just_now_stays) {
  leave_idle(24 * mib);
  make_old();
  BOOST_TEST(released_by_step(1) >= 24 * mib);
}

BOOST_AUTO_TEST_CASE(a_step_after_a_while_counts_for_several_rounds) {
  leave_idle(24 * mib);
  BOOST_TEST(released_by_step(4) == 0u);
  BOOST_TEST(released_by_step(1) >= 24 * mib);
  leave_idle(24 * mib);
  BOOST_TEST(released_by_step(5) >= 24 * mib);
}

/// A step gives back an eighth, or 32 MiB, for each round for which it counts.
BOOST_AUTO_TEST_CASE(a_round_gives_back_a_part) {
  leave_idle(160 * mib);
  make_old();
  const std::size_t one = released_by_step(1);
  BOOST_TEST((one >= 32 * mib && one <= 34 * mib), one << " bytes");
  const std::size_t three = released_by_step(3);
  BOOST_TEST((three >= 96 * mib && three <= 98 * mib), three << " bytes");
}

/// A step is short however much memory there is, so nobody is kept waiting.
BOOST_AUTO_TEST_CASE(a_step_is_short) {
  constexpr nanoseconds_t most = step_pace::least;
  const std::size_t at_begin = resident();
  std::vector<block> all = allocate(64 * mib, 4'097, 40'000, 2);
  free_all_but(all, 10);
  flush();
  std::size_t steps = 0;
  for (unsigned over = 0; over != 40; ++steps) {
    const std::size_t at_first = resident();
    over += the_scavenger.step(8, most);
    const std::size_t now = resident();
    BOOST_TEST_REQUIRE(now + 4 * mib >= at_first, "one step has given back " << (at_first - now) / mib << " MiB");
    BOOST_TEST_REQUIRE(steps < 5'000u);
  }
  BOOST_TEST(steps > 40u + 16u);
  BOOST_TEST(resident() <= at_begin + 64 * mib / 3);
  for (const block& b : all) BOOST_REQUIRE(b.intact());
  free_all(all);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_FIXTURE_TEST_SUITE(scavenger_calls, pace)

/// A process of one thread stays one, and calls that take the short paths are enough.
BOOST_AUTO_TEST_CASE(give_back_in_a_process_of_one_thread) {
  the_options.scavenger = scavenging::background;
  the_options.pace_ms = 80;
  const std::size_t at_first = resident();
  leave_idle(64 * mib);
  BOOST_TEST(the_scavenger.waits());
  const bool low = within_calls(std::chrono::seconds(20), [&] {
    BOOST_TEST_REQUIRE(!the_scavenger_thread.exists());
    return resident() <= at_first + 8 * mib;
  });
  BOOST_TEST(low, resident() / mib << " MiB are left");
  wait_until_at_rest();
}

/// While one is in the middle of a step, the others go on.
BOOST_AUTO_TEST_CASE(step_one_at_a_time) {
  the_options.scavenger = scavenging::steps;
  the_options.pace_ms = 4;
  leave_idle(16 * mib);
  the_scavenger.poll(nullptr);  // memory begins to wait
  BOOST_TEST_REQUIRE(the_scavenger.waits());
  std::atomic<bool> is_there{false}, may_call{false}, has_called{false};
  std::thread other([&] {
    blocks::deallocate(blocks::allocate(100));
    is_there = true;
    while (!may_call) std::this_thread::yield();
    for (int i = 0; i != 30; ++i) {  // until a step is due
      the_scavenger.poll(nullptr);
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    has_called = true;
  });
  while (!is_there) std::this_thread::yield();
  while (!the_scavenger.step(1, unlimited)) {  // no round is under way
  }
  the_scavenger.notice_idle(scavenger::worthwhile + 1);
  BOOST_TEST_REQUIRE(the_scavenger.has_noticed());
  the_mheap.lock().lock();
  std::thread one([] { the_scavenger.step(1, unlimited); });
  // A round has begun, but cannot go on without the lock.
  BOOST_TEST(within(std::chrono::seconds(20), [] { return !the_scavenger.has_noticed(); }));
  may_call = true;
  BOOST_TEST(within(std::chrono::seconds(20), [&] { return has_called.load(); }), "two threads step");
  the_mheap.lock().unlock();
  one.join();
  other.join();
  while (the_scavenger.waits()) the_scavenger.step(5, unlimited);
}

/// They are enough for a program that never sleeps, too.
BOOST_AUTO_TEST_CASE(give_back_while_the_program_is_busy) {
  the_options.scavenger = scavenging::background;
  the_options.pace_ms = 80;
  const std::size_t at_first = resident();
  leave_idle(64 * mib);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (resident() > at_first + 8 * mib && std::chrono::steady_clock::now() < end)
    for (int i = 0; i != 100'000; ++i) blocks::deallocate(blocks::allocate(10));
  BOOST_TEST(resident() <= at_first + 8 * mib, resident() / mib << " MiB are left");
  wait_until_at_rest();
}

/// A program may call one function only, again and again: each of these is enough.
BOOST_AUTO_TEST_CASE(of_every_kind_do_rounds) {
  the_options.scavenger = scavenging::background;
  the_options.pace_ms = 40;
  std::vector<void*> large, huge;
  void* p = nullptr;
  std::size_t n = 0;
  const auto resize = [&](std::size_t one, std::size_t other) {
    p = blocks::reallocate(p, n++ % 2 != 0 ? one : other);
  };
  const struct {
    const char* name;
    std::size_t first;  ///< bytes of p
    std::function<void()> call;
  } ways[] = {
      {"a small block stays", 100, [&] { resize(100, 110); }},
      {"a small block grows and shrinks", 100, [&] { resize(100, 1'000); }},
      {"a large block stays", 3'000'000, [&] { resize(3'000'000, 3'000'001); }},
      {"a large block grows and shrinks", 3'000'000, [&] { resize(2'500'000, 3'000'000); }},
      {"a huge block grows and shrinks", 40 * mib, [&] { resize(40 * mib, 41 * mib); }},
      {"large blocks are allocated", 100, [&] { large.push_back(blocks::allocate(1'500'000)); }},
      {"large blocks are allocated zeroed", 100, [&] { large.push_back(blocks::allocate_zeroed(1'500'000)); }},
      {"large blocks are allocated aligned", 100,
       [&] { large.push_back(blocks::allocate_aligned(65'536, 1'500'000)); }},
      {"huge blocks are allocated", 100, [&] { huge.push_back(blocks::allocate(40 * mib)); }},
  };
  for (const auto& way : ways) {
    p = blocks::allocate(way.first);
    leave_idle(16 * mib);
    BOOST_TEST_REQUIRE(the_scavenger.waits());
    const std::uint32_t first = the_scavenger.round();
    BOOST_TEST(within(std::chrono::seconds(20),
                      [&] {
                        way.call();
                        return the_scavenger.round() - first >= 2 * scavenger::rounds_per_pace;
                      }),
               way.name << ": nothing is given back");
    blocks::deallocate(p);
    for (void* const q : large) blocks::deallocate(q);
    for (void* const q : huge) blocks::deallocate(q);
    large.clear();
    huge.clear();
  }
  wait_until_at_rest();
}

BOOST_AUTO_TEST_CASE(give_back_if_there_is_to_be_no_thread) {
  the_options.scavenger = scavenging::steps;
  the_options.pace_ms = 80;
  const companion other;
  const std::size_t at_first = resident();
  leave_idle(64 * mib);
  BOOST_TEST(within_calls(std::chrono::seconds(20), [&] { return resident() <= at_first + 8 * mib; }),
             resident() / mib << " MiB are left");
  BOOST_TEST(!the_scavenger_thread.exists());
  wait_until_at_rest();
}

BOOST_AUTO_TEST_CASE(give_nothing_back_if_it_is_off) {
  the_options.pace_ms = 1;
  const std::size_t at_first = released_so_far();
  leave_idle(64 * mib);
  BOOST_TEST(!the_scavenger.waits());
  for (int i = 0; i != 20; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    blocks::deallocate(blocks::allocate(3'000'000));
  }
  BOOST_TEST(released_so_far() == at_first);
}

/// A program that gives up and takes again the same few spans has nothing to give back.
BOOST_AUTO_TEST_CASE(do_nothing_for_little) {
  the_options.scavenger = scavenging::background;
  mcache& c = *the_mcache_pool.take();
  constexpr std::size_t size = 16'384;
  void* const kept = c.refill(class_for(size));
  for (int i = 0; i != 2'000; ++i) {
    c.drain();                                  // gives up the span of `kept`
    void* const p = c.refill(class_for(size));  // and takes it again
    c.put_back(the_map.span_of(p), p);
  }
  BOOST_TEST(!the_scavenger.waits(), "though 64 KiB are all that there is");
  c.put_back(the_map.span_of(kept), kept);
  the_mcache_pool.give(c);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_FIXTURE_TEST_SUITE(scavenger_in_background, pace)

/// By a thread of its own, in which nobody needs to call anything; it ends when nothing is left.
BOOST_AUTO_TEST_CASE(works_and_ends) {
  the_options.scavenger = scavenging::background;
  the_options.pace_ms = 80;
  const companion other;
  const std::size_t at_first = resident();
  const std::vector<block> all = allocate(64 * mib, 5'000, 100'000, 6);
  free_all(all);
  blocks::deallocate(blocks::allocate(3'000'000));  // whoever comes by next starts it
  BOOST_TEST(the_scavenger_thread.exists());
  BOOST_TEST(within(std::chrono::seconds(20), [&] { return resident() <= at_first + 8 * mib; }),
             resident() / mib << " MiB are left");
  BOOST_TEST(within(std::chrono::seconds(20), [] { return !the_scavenger_thread.exists(); }),
             "the thread does not end");
}

/// Whenever it is freed: also when the thread has had nothing to do for a while and is about to end.
BOOST_AUTO_TEST_CASE(nothing_is_left_behind_when_it_ends) {
  the_options.scavenger = scavenging::background;
  the_options.pace_ms = 40;
  const companion other;
  const std::size_t at_first = resident();
  const auto once = [](std::uint32_t seed) {
    free_all(allocate(40 * mib, 100'000, 100'000, seed));
    blocks::deallocate(blocks::allocate(3'000'000));  // whoever comes by next starts it
  };
  for (int ms = 20; ms <= 220; ms += 10) {
    once(7);
    std::this_thread::sleep_for(std::chrono::milliseconds(ms));
    once(8);
    BOOST_TEST(within(std::chrono::seconds(20), [] { return !the_scavenger_thread.exists(); }),
               "the thread does not end");
    BOOST_TEST(resident() <= at_first + 12 * mib, ms << " ms later: " << resident() / mib << " MiB are left");
    the_scavenger.release_all();
  }
}

/// The scavenger ends before the last but one of the program's threads has ended, whatever it has still to do.
BOOST_AUTO_TEST_CASE(ends_with_the_threads_of_the_program) {
  the_options.scavenger = scavenging::background;
  the_options.pace_ms = 3'600'000;
  for (int i = 0; i != 20; ++i) {
    {
      const companion other, another;
      leave_idle(16 * mib);
      BOOST_TEST(the_scavenger_thread.exists());
    }
    BOOST_TEST(!the_scavenger_thread.exists());
    BOOST_TEST(the_scavenger_thread.own_threads() == 1u);
    the_scavenger.release_all();
  }
}

/// They count though they have never allocated anything.
BOOST_AUTO_TEST_CASE(threads_of_the_runtime_count) {
  the_options.scavenger = scavenging::background;
  the_options.pace_ms = 3'600'000;
  const std::uint32_t own = the_scavenger_thread.own_threads();
  heddle::run([] {
    BOOST_TEST(the_scavenger_thread.own_threads() >= 2u);
    leave_idle(16 * mib);
    BOOST_TEST(the_scavenger_thread.exists());
  });
  heddle::shutdown();
  BOOST_TEST(the_scavenger_thread.own_threads() == own);
  BOOST_TEST(!the_scavenger_thread.exists());
}

/// A thread that was counted before a fork may end in the child: this takes none off the child's count.
BOOST_AUTO_TEST_CASE(in_a_child_there_are_no_others) {
  the_options.scavenger = scavenging::background;
  const companion other;
  const auto how = heddle::testing::death_of([] {
    if (the_scavenger_thread.own_threads() != 1) ::_exit(1);
    for (int i = 0; i != 3; ++i) the_scavenger_thread.thread_left();
    if (the_scavenger_thread.own_threads() != 0) ::_exit(2);
    for (int i = 0; i != 100; ++i) blocks::deallocate(blocks::allocate(20'000'000));
    if (the_scavenger_thread.exists()) ::_exit(3);
  });
  BOOST_TEST(how.signal == 0);
  BOOST_TEST(how.status == 0);
}

/// Memory waits when the last other thread ends, and the one thread that is left never leaves the short paths by
/// itself.
BOOST_AUTO_TEST_CASE(the_last_thread_hears_that_memory_waits) {
  for (const scavenging how : {scavenging::background, scavenging::steps}) {
    std::vector<void*> own;
    for (int i = 0; i != 20; ++i) own.push_back(blocks::allocate(10));
    for (void* const p : own) blocks::deallocate(p);
    the_options.scavenger = how;
    the_options.pace_ms = 400;
    const std::size_t at_first = released_so_far();
    std::thread([] { leave_idle(64 * mib); }).join();
    BOOST_TEST(!the_scavenger_thread.exists());
    BOOST_TEST_REQUIRE(the_scavenger.waits());
    wait_until_at_rest();
    BOOST_TEST(released_so_far() - at_first >= 56 * mib);
  }
}

/// Threads come and go while the scavenger does.
BOOST_AUTO_TEST_CASE(threads_come_and_go) {
  the_options.scavenger = scavenging::background;
  the_options.pace_ms = 4;
  std::vector<std::thread> threads;
  for (unsigned t = 0; t != 3; ++t)
    threads.emplace_back([t] {
      for (std::uint32_t i = 0; i != 30; ++i)
        std::thread([t, i] {
          std::mt19937 random(t * 100 + i);
          std::vector<void*> all;
          for (int n = 0; n != 100; ++n) all.push_back(blocks::allocate(100 + random() % 200'000));
          for (void* const p : all) blocks::deallocate(p);
        }).join();
    });
  for (std::thread& t : threads) t.join();
  BOOST_TEST(!the_scavenger_thread.exists());
  wait_until_at_rest();
}

BOOST_AUTO_TEST_SUITE_END()
