// SPDX-License-Identifier: BSL-1.0
//
// Little memory: a live set close to the limit, no more pages from the kernel, and what is given back to it.
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "dying.hpp"
#include "heddle/gc.hpp"
#include "support/death.hpp"
#include "support/scale.hpp"
#include "witness.hpp"

namespace {

namespace gc = heddle::gc;
using namespace std::chrono_literals;
using heddle::testing::collect_until;
using heddle::testing::death_of;
using heddle::testing::far_below;
using heddle::testing::is_whole_list;
using heddle::testing::make_list;
using heddle::testing::sanitized;
using heddle::testing::witness;

constexpr std::size_t mebi = std::size_t{1} << 20;
struct chunk {
  gc::ptr<chunk> next;
  std::array<char, 4000> bytes;
};

/// Chunks of so many bytes in all, in a list.
gc::ptr<chunk> make_chunks(std::size_t bytes) {
  gc::ptr<chunk> list;
  for (std::size_t made = 0; made < bytes; made += sizeof(chunk)) {
    const gc::ptr<chunk> c = gc::make<chunk>();
    c->next = list;
    list = c;
  }
  return list;
}

/// A number of /proc/self/status, in bytes.
std::size_t status(const std::string& name) {
  std::ifstream file("/proc/self/status");
  for (std::string word; file >> word;)
    if (std::size_t kib = 0; word == name + ":" && file >> kib) return kib * 1024;
  return 0;
}
std::size_t mappings() {
  std::ifstream file("/proc/self/maps");
  return static_cast<std::size_t>(std::count(std::istreambuf_iterator<char>(file), {}, '\n'));
}

/// The kernel gives `more` bytes from now on.
void leave(std::size_t more) {
  const rlimit data{status("VmData") + more, RLIM_INFINITY};
  ::setrlimit(RLIMIT_DATA, &data);
}

/// Fills what there is; the child's exit status: 0 if all went as it has to.
template <class Make>
int fill_and_go_on(Make make) {
  witness* const before = make_list(100).get();
  bool full = false;
  std::size_t made = 0;
  std::thread([&] {
    gc::ptr<chunk> kept;
    try {
      for (; made < 4096 * mebi; made += sizeof(chunk)) {
        const gc::ptr<chunk> c = make();
        c->next = kept;
        kept = c;
      }
    } catch (const std::bad_alloc&) {
      full = true;
    }
  }).join();
  if (!full) return 1;
  if (!is_whole_list(before)) return 2;
  // All of that is garbage now.
  gc::collect();
  for (int i = 0; i != 3; ++i)
    if (!make_chunks(4 * mebi) || !is_whole_list(make_list(1000))) return 3;
  return is_whole_list(before) ? 0 : 4;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(limits, heddle::testing::collected_check)

/// Out of memory, the program is told so, and goes on with what it gives up.
BOOST_AUTO_TEST_CASE(no_more_memory, *boost::unit_test::enable_if<!sanitized>()) {
  const auto end = death_of([] {
    leave(96 * mebi);
    ::_exit(fill_and_go_on([] { return gc::make<chunk>(); }));
  });
  BOOST_TEST(end.signal == 0, end.text);
  BOOST_TEST(end.status == 0, end.text);
}

BOOST_AUTO_TEST_CASE(no_more_memory_for_large_objects, *boost::unit_test::enable_if<!sanitized>()) {
  const auto end = death_of([] {
    leave(96 * mebi);
    ::_exit(fill_and_go_on([] {
      gc::ptr<chunk[]> several = gc::make_array<chunk>(300);
      return gc::ptr<chunk>(several.get());
    }));
  });
  BOOST_TEST(end.signal == 0);
  BOOST_TEST(end.status == 0, end.text);
}

/// One object that is too large fails alone.
BOOST_AUTO_TEST_CASE(one_object_that_is_too_large) {
  BOOST_CHECK_THROW(gc::make_array<char>(std::size_t{1} << 46), std::bad_alloc);
  const auto end = death_of([] {
    leave(64 * mebi);
    bool refused = false;
    try {
      gc::make_array<gc::ptr<witness>>(200 * mebi / 8);
    } catch (const std::bad_alloc&) {
      refused = true;
    }
    ::_exit(refused && is_whole_list(make_list(1000)) ? 0 : 1);
  });
  BOOST_TEST((sanitized || (end.signal == 0 && end.status == 0)), end.text);
}

/// Live objects are 95 % of the limit: the program gets on, and cycles do not follow one another for each allocation.
BOOST_AUTO_TEST_CASE(a_heap_at_its_limit) {
  constexpr std::size_t live = 60 * mebi, limit = live / 95 * 100, turnover = 128 * mebi;
  gc::ptr<chunk> kept;
  std::thread([&] { kept = make_chunks(live); }).join();
  gc::collect();
  const std::size_t limit_before = gc::set_limit(limit);
  const std::uint64_t cycles = gc::statistics().cycles;
  const auto begin = heddle::testing::processor_time();
  for (std::size_t made = 0; made < turnover; made += mebi) far_below([] { make_chunks(mebi); });
  const auto took = heddle::testing::processor_time() - begin;
  const std::uint64_t more = gc::statistics().cycles - cycles;
  BOOST_TEST(more >= 4u);
  BOOST_TEST(more < turnover / mebi * 4, more << " cycles for " << turnover / mebi << " MiB");
  BOOST_TEST((sanitized || took < 10s), took / 1ms << " ms");
  gc::set_limit(limit_before);
}

/// The live set is so large by turns, and twice as large. Cycles come as often as that asks for: no collector that goes
/// by what it found before has one all the time, or none.
BOOST_AUTO_TEST_CASE(a_live_set_that_doubles_and_halves) {
  constexpr std::size_t live = 32 * mebi, turnover = 64 * mebi;
  constexpr int rounds = 6;
  const std::uint64_t cycles = gc::statistics().cycles, allocated = gc::statistics().allocated_bytes;
  std::uint64_t most = 0;
  gc::ptr<chunk> kept, also;
  for (int i = 0; i != 2 * rounds; ++i) {
    std::thread([&] {
      if (i == 0) kept = make_chunks(live);
      also = i % 2 == 0 ? nullptr : make_chunks(live);
      for (std::size_t made = 0; made < turnover; made += mebi) {
        make_chunks(mebi);
        most = std::max(most, gc::statistics().heap_bytes);
      }
    }).join();
  }
  const std::uint64_t made = (gc::statistics().allocated_bytes - allocated) / mebi;
  const std::uint64_t more = gc::statistics().cycles - cycles;
  // The room between two cycles is the live set, 32 to 64 MiB, and at least a quarter of it.
  BOOST_TEST(more >= made / 128, more << " cycles for " << made << " MiB");
  BOOST_TEST(more <= made / 8, more << " cycles for " << made << " MiB");
  // A cycle finds 64 MiB alive. Allocation waits beyond a quarter more than the room, which is as much. So much may be
  // allocated before the cycle ends, and as much again while it marks. A tenth is for the ends of spans.
  BOOST_TEST(most <= live * 2 * 35 / 10 * 11 / 10, most / mebi << " MiB at most");
}

/// What has died goes back to the kernel, in few mappings, and not at every cycle what is soon needed again.
BOOST_AUTO_TEST_CASE(memory_goes_back, *boost::unit_test::enable_if<!sanitized>()) {
  const std::size_t mappings_before = mappings();
  std::size_t full = 0;
  for (int i = 0; i != 3; ++i)
    std::thread([&] {
      const gc::ptr<chunk> kept[] = {make_chunks(50 * mebi), make_chunks(50 * mebi), make_chunks(50 * mebi)};
      full = status("VmRSS");
      BOOST_TEST((kept[2] != nullptr));
    }).join();
  BOOST_TEST(full > 150 * mebi);
  gc::collect();
  // A word somewhere in the C library may look like the address of one of them, or of two.
  BOOST_TEST(gc::statistics().heap_bytes < 120 * mebi);
  BOOST_TEST(mappings() < mappings_before + 500);
}

BOOST_AUTO_TEST_SUITE_END()
