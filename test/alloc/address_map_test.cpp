// SPDX-License-Identifier: BSL-1.0
#include "address_map.hpp"

#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <cstdio>
#include <cstring>
#include <memory>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "alloc/obstacle.hpp"
#include "blocks.hpp"
#include "collected_blocks.hpp"
#include "options.hpp"
#include "scavenger.hpp"
#include "support/death.hpp"
#include "support/leak_check.hpp"
#include "support/scale.hpp"

using namespace heddle::detail;
using heddle::testing::death_of;
using heddle::testing::obstacle;

namespace {

constexpr std::size_t chunk = page_allocator::chunk_pages;

/// A child process of the tests below may not start a thread under TSan.
struct no_scavenger {
  no_scavenger() { the_options.scavenger = scavenging::off; }
};
BOOST_TEST_GLOBAL_FIXTURE(no_scavenger);

/// An address, which Boost.Test shall not take for text.
const void* address(const void* p) { return p; }

std::vector<const heap_window*> windows_of(const address_map& m) {
  std::vector<const heap_window*> all;
  m.for_each_window([&](const heap_window& w) { all.push_back(&w); });
  return all;
}
char* end_of_tags(const heap_window& w) { return reinterpret_cast<char*>(w.tags) + w.tagged; }
char* end_of_table(const heap_window& w) { return reinterpret_cast<char*>(w.table) + w.tabled; }

/// A map of the test's own.
struct own_map {
  own_map() { map.begin(); }
  ~own_map() {
    for (const heap_window* const w : windows_of(map)) {
      ::munmap(w->tags, w->tagged);
      ::munmap(w->table, w->tabled);
      if (w->pages() != 0) ::munmap(w->end() - w->pages() * page_size, w->pages() * page_size);
    }
  }
  const heap_window& last() const { return *windows_of(map).back(); }

  address_map map;
};

long address_space_of_process() {
  long pages = 0;
  if (std::FILE* const f = std::fopen("/proc/self/statm", "r"); f != nullptr) {
    if (std::fscanf(f, "%ld", &pages) != 1) pages = 0;
    std::fclose(f);
  }
  return pages * 4096;
}
void limit_address_space(long more) {
  rlimit now{};
  ::getrlimit(RLIMIT_AS, &now);
  now.rlim_cur = static_cast<rlim_t>(address_space_of_process() + more);
  ::setrlimit(RLIMIT_AS, &now);
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(an_address_map, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(has_no_heap_at_first) {
  own_map m;
  BOOST_TEST(!m.map.has_heap());
  BOOST_TEST(!m.map.contains(&m));
  BOOST_TEST(!m.map.contains(nullptr));
  BOOST_TEST(m.map.tag_of(&m) == 0u);
  BOOST_TEST(m.map.table_bytes() == 0u);
}

BOOST_AUTO_TEST_CASE(grows_in_one_window) {
  own_map m;
  const std::size_t pages[] = {chunk, 1, 3 * chunk, 16 * chunk};
  std::size_t all = 0;
  for (const std::size_t n : pages) {
    BOOST_TEST(m.map.grow(n) == all);
    all += n;
    const heap_window& w = m.last();
    BOOST_TEST(w.pages() == all);
    BOOST_TEST(w.base % address_map::window_align == 0u);
    char* const start = m.map.address(0);
    BOOST_TEST(reinterpret_cast<std::uintptr_t>(start) == w.base);
    BOOST_TEST(address(w.end()) == start + all * page_size);
    for (char* const p : {start, start + 1, w.end() - 1}) BOOST_TEST(m.map.contains(p));
    for (char* const p : {start - 1, w.end(), w.end() + (std::size_t{1} << 30)}) BOOST_TEST(!m.map.contains(p));
    BOOST_TEST(m.map.page_of(w.end() - 1) == all - 1);
    BOOST_TEST(address(m.map.address(all - 1)) == w.end() - page_size);
    std::memset(w.end() - n * page_size, 1, n * page_size);
    // The tables are mapped as far as they are needed, and not a page more.
    const auto whole = [](std::size_t bytes) { return (bytes + 4095) / 4096 * 4096; };
    BOOST_TEST(m.map.table_bytes() == whole(all * sizeof(class_tag)) + whole(all * sizeof(std::uint32_t)));
  }
  BOOST_TEST(windows_of(m.map).size() == 1u);
}

BOOST_AUTO_TEST_CASE(finds_tags_and_numbers) {
  own_map m;
  m.map.grow(chunk);
  const obstacle o(m.last().end());
  m.map.grow(chunk);
  BOOST_TEST_REQUIRE(windows_of(m.map).size() == 2u);
  unsigned n = 7;
  for (const heap_window* const w : windows_of(m.map)) {
    char* const start = w->end() - w->pages() * page_size;
    w->tags[3] = static_cast<class_tag>(++n);
    m.map.set_number(start + 3 * page_size, ++n);
    BOOST_TEST(w->table[3] == n);
    for (const std::size_t offset : {std::size_t{0}, grain, page_size - grain}) {
      char* const p = start + 3 * page_size + offset;
      BOOST_TEST(m.map.tag_of(p) == n - 1);
      BOOST_TEST(&m.map.span_of(p) == m.map.spans + n);
      BOOST_TEST(m.map.tag_of(p + 1) == 0u);  // not aligned
      BOOST_TEST(m.map.window_of(p + 1) == w);
      BOOST_TEST(m.map.window_of_block(p) == w);
      BOOST_TEST(m.map.window_of_block(p + 1) == nullptr);
    }
    for (char* const p : {start, start + 3 * page_size - grain, start + 4 * page_size, w->end() - grain}) {
      BOOST_TEST(m.map.tag_of(p) == 0u);
      BOOST_TEST(&m.map.span_of(p) == m.map.spans);
    }
    for (char* const p : {start - grain, w->end()}) BOOST_TEST(m.map.tag_of(p) == 0u);
  }
}

/// The page lies behind the window, or one of its tables: then the heap goes on in another window.
BOOST_AUTO_TEST_CASE(moves_on_where_something_else_is_mapped) {
  for (char* (*const place)(const heap_window&) :
       {+[](const heap_window& w) { return w.end(); }, &end_of_tags, &end_of_table}) {
    own_map m;
    std::size_t all = chunk;
    BOOST_TEST(m.map.grow(chunk) == 0u);
    const heap_window& first = m.last();
    const obstacle o(place(first));
    std::size_t number = 0;
    while ((number = m.map.grow(chunk)) == all) all += chunk;
    BOOST_TEST_REQUIRE(number != no_page);
    BOOST_TEST(first.pages() == all);
    // In between are numbers of no page, and pages are as aligned as their numbers are.
    BOOST_TEST(number > all);
    BOOST_TEST(number % (address_map::window_align / page_size) == 0u);
    const heap_window& second = m.last();
    BOOST_TEST(&second != &first);
    BOOST_TEST(second.pages() == chunk);
    BOOST_TEST(reinterpret_cast<std::uintptr_t>(m.map.address(number)) == second.base);
    BOOST_TEST(m.map.page_of(second.end() - 1) == number + chunk - 1);
    BOOST_TEST(address(m.map.address(all - 1)) == first.end() - page_size);
    BOOST_TEST(m.map.window_of(first.end() - 1) == &first);
    BOOST_TEST(m.map.window_of(second.end() - 1) == &second);
    BOOST_TEST(!m.map.contains(first.end()));
    BOOST_TEST(!m.map.contains(second.end()));
    // The first window stays as it is, though there may be room again.
    BOOST_TEST(m.map.grow(chunk) == number + chunk);
    BOOST_TEST(first.pages() == all);
  }
}

/// The numbers leave a gap also where the last window ends with a number that is as aligned as the next one's first.
BOOST_AUTO_TEST_CASE(leaves_a_number_out_between_windows) {
  own_map m;
  constexpr std::size_t aligned = address_map::window_align / page_size;
  BOOST_TEST(m.map.grow(aligned) == 0u);
  const obstacle o(m.last().end());
  BOOST_TEST(m.map.grow(1) == 2 * aligned);
}

BOOST_AUTO_TEST_CASE(has_no_more_windows_than_it_has_room_for) {
  own_map m;
  std::vector<obstacle> all;
  while (m.map.grow(1) != no_page) {
    BOOST_REQUIRE(all.size() != address_map::most_windows);
    all.emplace_back(m.last().end());
  }
  BOOST_TEST(all.size() == address_map::most_windows);
  BOOST_TEST(windows_of(m.map).size() == address_map::most_windows);
  for (const heap_window* const w : windows_of(m.map)) {
    BOOST_TEST(w->pages() == 1u);
    BOOST_TEST(m.map.window_of(w->end() - 1) == w);
    BOOST_TEST(address(m.map.address(m.map.page_of(w->end() - 1))) == w->end() - page_size);
  }
}

BOOST_AUTO_TEST_CASE(shrinks_by_what_nobody_has_been_told_of) {
  own_map m;
  m.map.grow(chunk);
  char* const end = m.last().end();
  BOOST_TEST(m.map.grow(2 * chunk) == chunk);
  m.map.shrink(2 * chunk);
  BOOST_TEST(address(m.last().end()) == end);
  BOOST_TEST(!m.map.contains(end));
  BOOST_TEST(::msync(end, 4096, MS_ASYNC) != 0);  // nothing is mapped there
  BOOST_TEST(m.map.grow(chunk) == chunk);
  BOOST_TEST(address(m.last().end()) == end + chunk * page_size);
  BOOST_TEST(windows_of(m.map).size() == 1u);
}

BOOST_AUTO_TEST_CASE(without_memory_stays_as_it_is) {
  if (heddle::testing::sanitized) return;  // the sanitizers want address space themselves
  const auto died = death_of([] {
    static own_map m;
    if (m.map.grow(chunk) != 0) ::_exit(2);
    limit_address_space(1 << 20);
    if (m.map.grow(chunk) != no_page || m.last().pages() != chunk || windows_of(m.map).size() != 1) ::_exit(3);
    if (m.map.grow(16) != chunk || m.last().pages() != chunk + 16) ::_exit(4);
    // In another window: there is memory only for its tables.
    const obstacle o(m.last().end());
    limit_address_space(1 << 20);
    const long at_first = address_space_of_process() + 4096;  // the table of the first window grows by a page
    for (int i = 0; i != 3; ++i)
      if (m.map.grow(chunk) != no_page) ::_exit(5);
    if (windows_of(m.map).size() != 1 || address_space_of_process() != at_first) ::_exit(6);
    if (m.map.grow(16) == no_page || windows_of(m.map).size() != 2) ::_exit(7);
    m.last().tags[15] = 1;
    m.last().table[15] = 1;
    ::_exit(0);
  });
  BOOST_TEST(died.signal == 0, died.text);
  BOOST_TEST(died.status == 0, died.text);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_FIXTURE_TEST_SUITE(a_heap_near_a_limit, heddle::testing::leak_check)

namespace {

/// A child process takes blocks until there is no memory, under a limit of so many bytes more. Little may be left then,
/// and the heap knows its own figures.
void expect_all_is_used(std::size_t heap, long more) {
  const auto died = death_of([heap, more] {
    constexpr long unused = 256 << 10;
    const auto mapped = [] { return the_mheap.figures().mapped; };
    blocks::deallocate(blocks::allocate(20'000));  // everything else that this needs is there
    while (mapped() < heap) {
      limit_address_space(6 << 20);  // so that it grows by a chunk at a time
      if (the_mheap.make_span(class_count, chunk) == nullptr) ::_exit(2);
    }
    const std::size_t fresh = mapped();
    limit_address_space(more);
    const long before = address_space_of_process();
    while (blocks::allocate(20'000) != nullptr) {
    }
    const long left = before + more - address_space_of_process();
    std::fprintf(stderr, "%ld KiB left of %ld\n", left >> 10, more >> 10);
    if (left > unused) ::_exit(3);
    std::size_t bounds = 0;
    for (const heap_window* const w : windows_of(the_map)) bounds += w->pages() * page_size;
    if (mapped() != bounds) ::_exit(4);
    if (mapped() < fresh + static_cast<std::size_t>(more - unused)) ::_exit(5);
    ::_exit(0);
  });
  BOOST_TEST(died.signal == 0, died.text);
  BOOST_TEST(died.status == 0, died.text);
}

}  // namespace

BOOST_AUTO_TEST_CASE(grows_by_little) {
  if (heddle::testing::sanitized) return;  // the sanitizers want address space themselves
  for (const long more : {1 << 20, 3 << 20, 9 << 20}) expect_all_is_used(std::size_t{8} << 20, more);
}

/// The records of the page allocator have room for 28 chunks at first, and then for 42.
BOOST_AUTO_TEST_CASE(gives_back_what_it_cannot_write_about) {
  if (heddle::testing::sanitized) return;
  for (long pages = 0; pages != 8; ++pages)
    expect_all_is_used(28 * chunk * page_size, static_cast<long>(chunk * page_size) + pages * 4096);
}

BOOST_AUTO_TEST_SUITE_END()

namespace {

/// The heap of the process has one window more after each of these tests; all is freed.
struct heap_that_moves : heddle::testing::leak_check {
  /// Has the heap go on in another window.
  static void move_on() {
    the_scavenger.release_all();
    const std::size_t before = windows_of(the_map).size();
    if (before == 0) blocks::deallocate(blocks::allocate(1));
    const obstacle o(windows_of(the_map).back()->end());
    std::vector<span*> all;
    while (windows_of(the_map).size() <= std::max<std::size_t>(before, 1)) {
      all.push_back(the_mheap.make_span(class_count, chunk));
      BOOST_REQUIRE(all.back() != nullptr);
    }
    for (span* const s : all) the_mheap.free_span(*s);
  }
  /// Takes all free pages of the windows before the last.
  static std::vector<span*> fill_others() {
    the_scavenger.release_all();
    std::vector<span*> all;
    const heap_window* const last = windows_of(the_map).back();
    for (std::size_t pages = chunk; pages != 0; pages /= 2)
      for (;;) {
        span* const s = the_mheap.make_span(class_count, pages);
        BOOST_REQUIRE(s != nullptr);
        if (last->contains(s->start)) {
          the_mheap.free_span(*s);
          the_scavenger.release_all();
          break;
        }
        all.push_back(s);
      }
    return all;
  }
  heap_that_moves() {
    move_on();
    others = fill_others();
    // The blocks in the cache are not of the last window.
    if (this_mcache != &nobodys_mcache) this_mcache->drain();
  }
  void teardown() {
    for (span* const s : others) the_mheap.free_span(*s);
    others = std::vector<span*>();
    the_scavenger.release_all();
    leak_check::teardown();
  }
  static bool is_last(const void* p) { return windows_of(the_map).back()->contains(p); }

  std::vector<span*> others;
  std::vector<void*> in_the_way;
};

/// So many blocks in the last window; blocks elsewhere are left out.
std::vector<char*> blocks_in_last(std::size_t size, std::size_t count) {
  std::vector<char*> all, elsewhere;
  while (all.size() != count) {
    auto* const p = static_cast<char*>(blocks::allocate(size));
    BOOST_REQUIRE(p != nullptr);
    (heap_that_moves::is_last(p) ? all : elsewhere).push_back(p);
  }
  for (char* const p : elsewhere) blocks::deallocate(p);
  return all;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(blocks_in_another_window, heap_that_moves)

BOOST_AUTO_TEST_CASE(are_used_as_others) {
  for (const std::size_t size : {1u, 100u, 1'024u, 5'000u, 40'000u, 1'000'000u, 3'000'000u}) {
    std::vector<char*> all = blocks_in_last(size, 20);
    BOOST_TEST((std::set<char*>(all.begin(), all.end()).size()) == all.size());
    for (char*& p : all) {
      const std::size_t usable = blocks::usable_size(p);
      BOOST_TEST(usable >= size);
      std::memset(p, static_cast<int>(size % 100), usable);
      BOOST_TEST(the_map.span_of(p).begins_block(p));
    }
    for (char*& p : all) {
      p = static_cast<char*>(blocks::reallocate(p, 3 * size));
      BOOST_REQUIRE(p != nullptr);
      BOOST_TEST(std::count(p, p + size, static_cast<char>(size % 100)) == static_cast<std::ptrdiff_t>(size));
    }
    for (char* const p : all) blocks::deallocate_sized(p, 3 * size);
  }
}

/// The thread's magazine takes the blocks, and gives the last block first.
BOOST_AUTO_TEST_CASE(are_allocated_again_at_once) {
  for (const std::size_t size : {64u, 1'000u, 8'000u}) {
    char* const p = blocks_in_last(size, 1)[0];
    blocks::deallocate(p);
    BOOST_TEST(blocks::allocate(size) == address(p));
    blocks::deallocate(p);
  }
}

BOOST_AUTO_TEST_CASE(may_be_freed_by_others) {
  for (const std::size_t size : {16u, 200u, 1'024u, 9'000u, 2'000'000u}) {
    const std::size_t count = size > 100'000 ? 10 : 3'000;
    for (int i = 0; i != 2; ++i) {
      std::vector<char*> all = blocks_in_last(size, count);
      std::thread([&] {
        for (char* const p : all) blocks::deallocate(p);
      }).join();
    }
  }
  if (this_mcache != &nobodys_mcache) this_mcache->drain();
  the_scavenger.release_all();
}

BOOST_AUTO_TEST_CASE(are_as_aligned_as_is_wanted) {
  for (std::size_t align = 32; align <= mheap::huge_limit / 2; align *= 2) {
    void* const p = blocks::allocate_aligned(align, 100'000);
    BOOST_REQUIRE(p != nullptr);
    BOOST_TEST(reinterpret_cast<std::uintptr_t>(p) % align == 0u);
    blocks::deallocate(p);
  }
}

BOOST_AUTO_TEST_CASE(are_found_if_a_collector_frees_them) {
  for (const std::size_t size : {100u, 20'000u, 2'000'000u}) {
    std::vector<char*> all;
    do {
      all.push_back(static_cast<char*>(collected_blocks::allocate(span_kind::scan, size)));
      BOOST_REQUIRE(all.back() != nullptr);
    } while (!is_last(all.back()));
    for (char* const p : all) {
      BOOST_TEST(address(the_collected_spans.find(p + size - 1).start) == p);
      collected_blocks::deallocate(p);
      BOOST_TEST(address(the_collected_spans.find(p).start) == nullptr);
    }
  }
}

BOOST_AUTO_TEST_CASE(and_what_is_wrong_with_them_is_noticed) {
  const auto dies = [](auto f, const char* words) {
    const auto d = death_of(f);
    BOOST_TEST(d.signal == SIGABRT, words);
    BOOST_TEST(d.says(words), d.text);
  };
  char* const small = blocks_in_last(100, 1)[0];
  char* const large = blocks_in_last(3'000'000, 1)[0];
  char* const of_no_magazine = blocks_in_last(40'000, 1)[0];
  dies([&] { blocks::deallocate(of_no_magazine + 16); }, "no block begins there");
  dies([&] { blocks::deallocate(small + 1); }, "not aligned");
  dies([&] { blocks::deallocate_sized(small, 2'000); }, "as 2000 bytes");
  dies([&] { blocks::usable_size(large + 16); }, "malloc_usable_size");
  dies(
      [&] {
        blocks::deallocate(small);
        blocks::deallocate(small);
      },
      "free already");
  dies(
      [&] {
        blocks::deallocate(large);
        blocks::deallocate(large);
      },
      "freed before");
  for (char* const p : {small, of_no_magazine, large}) blocks::deallocate(p);
}

/// The obstacle comes while threads allocate, free blocks of the others, and ask about any address.
BOOST_AUTO_TEST_CASE(come_while_others_use_the_heap) {
  constexpr std::size_t each = 400;
  constexpr int rounds = heddle::testing::times(60, 10);
  std::array<std::atomic<char*>, each> shared{};
  std::atomic<bool> over{false}, wrong{false};
  const auto use = [&](std::size_t seed) {
    for (std::size_t i = seed; !over.load(std::memory_order_relaxed); i = i * 29 + 7) {
      const std::size_t size = 64 << i / 16 % 13;  // up to 256 KiB
      auto* const p = static_cast<char*>(blocks::allocate(size));
      if (p == nullptr) continue;
      std::memset(p, static_cast<int>(size % 251), 16);
      new (p + 16) std::size_t(size);
      char* const q = shared[i % each].exchange(p, std::memory_order_acq_rel);
      if (q == nullptr) continue;
      if (*q != static_cast<char>(*reinterpret_cast<std::size_t*>(q + 16) % 251)) wrong = true;
      blocks::deallocate(q);
    }
  };
  const auto look = [&] {
    while (!over.load(std::memory_order_relaxed))
      the_map.for_each_window([&](const heap_window& w) {
        for (char* const p : {w.end() - page_size, w.end(), w.end() + (std::size_t{4} << 20)}) {
          const std::size_t tag = the_map.tag_of(p);
          if (tag / tag_step > class_count || (the_map.contains(p) && &the_map.span_of(p) < the_map.spans))
            wrong = true;
        }
      });
  };
  {
    std::vector<std::thread> all;
    for (std::size_t seed : {1, 2, 3}) all.emplace_back(use, seed);
    if (!heddle::testing::thread_sanitized) all.emplace_back(look);  // TSan sees no order in its reads
    std::vector<span*> large;
    for (int i = 0; i != rounds; ++i) {
      // Unless the heap has grown by itself meanwhile.
      if (i % 6 == 0) {
        void* const at = windows_of(the_map).back()->end();
        in_the_way.push_back(::mmap(at, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0));
      }
      large.push_back(the_mheap.make_span(class_count, chunk));
      if (i % 4 == 3)
        for (int k = 0; k != 2; ++k, large.pop_back()) the_mheap.free_span(*large.back());
    }
    over = true;
    for (std::thread& t : all) t.join();
    for (span* const s : large) the_mheap.free_span(*s);
  }
  BOOST_TEST(!wrong);
  for (std::atomic<char*>& p : shared) blocks::deallocate(p.load());
  if (this_mcache != &nobodys_mcache) this_mcache->drain();
  for (void* const at : in_the_way)
    if (at != MAP_FAILED) ::munmap(at, 4096);
  in_the_way = std::vector<void*>();
}

/// Addresses are recognised wherever they lie, and no memory is touched that is not there.
BOOST_AUTO_TEST_CASE(and_what_came_from_elsewhere_is_recognised) {
  const auto lies_in_a_window = [](const char* p) {
    return std::ranges::any_of(windows_of(the_map), [p](const heap_window* w) {
      return p < w->end() && p >= w->end() - w->pages() * page_size;
    });
  };
  std::vector<char*> foreign = {reinterpret_cast<char*>(16), reinterpret_cast<char*>(~std::uintptr_t{15}),
                                reinterpret_cast<char*>(std::uintptr_t{1} << 46)};
  for (const heap_window* const w : windows_of(the_map))
    for (char* const p : {w->end(), w->end() - w->pages() * page_size - grain, w->end() + (std::size_t{1} << 30),
                          end_of_tags(*w), end_of_table(*w), reinterpret_cast<char*>(w->tags)})
      if (!lies_in_a_window(p)) foreign.push_back(p);  // The kernel may have put a window behind another.
  for (char* const p : foreign) {
    BOOST_TEST(!the_map.contains(p));
    BOOST_TEST(the_map.tag_of(p) == 0u);
  }
  for (std::size_t i = 0; i < foreign.size(); i += heddle::testing::sanitized ? 5 : 1) {
    const auto d = death_of([&] { blocks::deallocate(foreign[i]); });
    BOOST_TEST(d.signal == SIGABRT);
    BOOST_TEST(d.says("not memory of this heap"), d.text);
  }
}

/// Mappings are counted, wherever they are.
BOOST_AUTO_TEST_CASE(and_runs_of_pages_stay_in_one) {
  std::vector<span*> all;
  for (std::size_t i = 0; i != 60; ++i) {
    all.push_back(the_mheap.make_span(class_count, 100 + 37 * i));
    BOOST_REQUIRE(all.back() != nullptr);
    const heap_window* const w = the_map.window_of(all.back()->start);
    BOOST_TEST_REQUIRE(w != nullptr);
    BOOST_TEST(w->contains(all.back()->start + all.back()->bytes() - 1));
    BOOST_TEST(address(the_map.address(the_map.page_of(all.back()->start))) == all.back()->start);
  }
  std::size_t mapped = 0;
  for (const heap_window* const w : windows_of(the_map)) mapped += w->pages() * page_size;
  BOOST_TEST(the_mheap.figures().mapped == mapped);
  for (span* const s : all) the_mheap.free_span(*s);
  BOOST_TEST(the_scavenger.release_all() != 0u);
}

BOOST_AUTO_TEST_SUITE_END()
