// SPDX-License-Identifier: BSL-1.0
//
// Blocks that a collector frees, beside those of malloc(): by several threads, found from anywhere in them.
#include "collected_blocks.hpp"

#include <pthread.h>

#include <array>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <cstring>
#include <new>
#include <set>
#include <thread>
#include <vector>

#include "blocks.hpp"
#include "heap_profile.hpp"
#include "heddle/alloc.hpp"
#include "heddle/heap_profile.hpp"
#include "mcentral.hpp"
#include "options.hpp"
#include "scavenger.hpp"
#include "support/death.hpp"
#include "support/leak_check.hpp"

using namespace heddle::detail;
using heddle::testing::death_of;

namespace {

constexpr span_kind kinds[] = {span_kind::manual, span_kind::scan, span_kind::noscan};
constexpr span_kind collected_kinds[] = {span_kind::scan, span_kind::noscan};
constexpr std::size_t sizes[] = {1, 16, 40, 128, 136, 1'000, 4'096, 16'000, 100'000, 1 << 20, 3'000'000};

/// Of whatever kind.
void* allocate(span_kind kind, std::size_t size) {
  void* const p = kind == span_kind::manual ? blocks::allocate(size) : collected_blocks::allocate(kind, size);
  if (p == nullptr) throw std::bad_alloc();
  return p;
}
void free(span_kind kind, void* p) {
  kind == span_kind::manual ? blocks::deallocate(p) : collected_blocks::deallocate(p);
}
std::vector<void*> allocate(span_kind kind, std::size_t size, std::size_t n) {
  std::vector<void*> all(n);
  for (void*& p : all) p = allocate(kind, size);
  return all;
}
void free(span_kind kind, const std::vector<void*>& all) {
  for (void* const p : all) free(kind, p);
}

collected_block find(const void* p) { return the_collected_spans.find(p); }
bool is_found(const void* p) { return find(p).start != nullptr; }
/// More than a span has.
std::size_t many(std::size_t size) { return size > class_limit ? 2 : 2u * class_info[class_for(size)].capacity + 1; }

void drain() {
  for_own_mcaches([](mcache& c) { c.drain(); });
}
void flush() {
  for_own_mcaches([](mcache& c) { c.flush(); });
}
std::size_t in_spans() {
  drain();
  the_scavenger.release_all();
  return the_mheap.figures().in_spans;
}
std::size_t spans_of(span_kind kind) {
  std::size_t n = 0;
  the_collected_spans.for_each(kind, [&n](const collected_span&) { ++n; });
  return n;
}

/// A child process of the tests below may not start a thread under TSan.
struct no_scavenger {
  no_scavenger() { the_options.scavenger = scavenging::off; }
};
BOOST_TEST_GLOBAL_FIXTURE(no_scavenger);

struct nothing_kept : heddle::testing::leak_check {
  std::size_t before_in_spans = in_spans();
  void teardown() {
    BOOST_TEST(in_spans() == before_in_spans, "spans are left over");
    for (const span_kind kind : collected_kinds) BOOST_TEST(spans_of(kind) == 0u, "a span has not ended");
    leak_check::teardown();
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(without_a_collector, nothing_kept)

/// Before anything else here.
BOOST_AUTO_TEST_CASE(there_is_nothing_of_it) {
  blocks::deallocate(blocks::allocate(100));
  BOOST_TEST(the_mcache_pool.serves(span_kind::manual));
  for (const span_kind kind : collected_kinds) {
    BOOST_TEST(!the_mcache_pool.serves(kind));
    BOOST_TEST(collected_mcaches[static_cast<std::size_t>(kind) - 1] == nullptr);
  }
  BOOST_TEST(!is_found(this));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_FIXTURE_TEST_SUITE(kinds_of_spans, nothing_kept)

/// Whatever has been freed before, and by whatever kind of spans the pages were used.
BOOST_AUTO_TEST_CASE(never_mix) {
  for (const std::size_t size : sizes) {
    std::array<std::vector<void*>, 3> kept;
    const auto check = [&](span_kind kind, void* p) {
      BOOST_REQUIRE((the_map.span_of(p).kind == kind));
      BOOST_REQUIRE((the_map.tag_of(p) != 0) == (kind == span_kind::manual && size <= class_limit));
      const collected_block b = find(p);
      BOOST_REQUIRE((b.start == p) == (kind != span_kind::manual));
      if (b.in != nullptr) BOOST_REQUIRE((b.in->kind == kind));
    };
    for (std::size_t round = 0; round != 6; ++round) {
      for (std::size_t k = 0; k != 3; ++k) {
        const span_kind kind = kinds[(k + round) % 3];
        std::vector<void*> all = allocate(kind, size, many(size));
        for (void* const p : all) check(kind, p);
        kept[static_cast<std::size_t>(kind)].push_back(all.back());  // so that spans go to mcentrals, and stay there
        all.pop_back();
        free(kind, all);
        drain();
      }
    }
    for (const span_kind kind : kinds) {
      for (void* const p : kept[static_cast<std::size_t>(kind)]) check(kind, p);
      free(kind, kept[static_cast<std::size_t>(kind)]);
    }
  }
}

BOOST_AUTO_TEST_CASE(do_not_share_caches_of_threads_that_have_ended) {
  std::set<mcache*> used;
  for (const span_kind kind : kinds) {
    mcache* const c = the_mcache_pool.take(kind);
    BOOST_REQUIRE(c != nullptr);
    BOOST_TEST((c->kind() == kind));
    BOOST_TEST(used.insert(c).second);
    the_mcache_pool.give(*c);
    BOOST_TEST(the_mcache_pool.take(kind) == c);
    the_mcache_pool.give(*c);
  }
}

/// What is free in spans of one kind does not serve the others, but its pages do.
BOOST_AUTO_TEST_CASE(serve_each_other_when_memory_runs_out) {
  constexpr std::size_t size = 8'192;
  for (const std::size_t next : {size, std::size_t{2'000'000}}) {
    std::vector<void*> all = allocate(span_kind::scan, size, 1'000);
    the_mheap.set_limit(the_mheap.figures().in_spans);
    BOOST_TEST(collected_blocks::allocate(span_kind::noscan, next) == nullptr);
    free(span_kind::scan, all);
    void* const p = collected_blocks::allocate(span_kind::noscan, next);
    BOOST_TEST(p != nullptr);
    BOOST_TEST(collected_blocks::allocate(span_kind::scan, std::size_t{1} << 60) == nullptr);
    the_mheap.set_limit(0);
    collected_blocks::deallocate(p);
  }
}

/// Also those of a span from which the thread's own cache hands out blocks.
BOOST_AUTO_TEST_CASE(give_up_what_is_free_when_memory_runs_out) {
  constexpr std::size_t size = 8'192;
  for (const span_kind kind : {span_kind::manual, span_kind::scan}) {
    the_mheap.set_limit(in_spans() + (class_info[class_for(size)].pages + 1) * page_size);
    free(kind, allocate(kind, size));
    void* const p = collected_blocks::allocate(span_kind::noscan, size);
    BOOST_TEST(p != nullptr);
    the_mheap.set_limit(0);
    if (p != nullptr) collected_blocks::deallocate(p);
  }
}

/// A sample has a span of its own, of its kind.
BOOST_AUTO_TEST_CASE(stay_apart_while_a_profile_is_taken) {
  BOOST_REQUIRE(heddle::alloc::profile::start(4'096));
  for (const std::size_t size : {100, 5'000, 3'000'000})
    for (const span_kind kind : collected_kinds) {
      const std::vector<void*> all = allocate(kind, size, 10 + 400'000 / size);
      BOOST_TEST(the_profile.any_in_use());
      for (void* const p : all) {
        const auto* const end = static_cast<char*>(p) + size - 1;
        BOOST_REQUIRE((find(end).start == p && find(end).in->kind == kind && find(end).size >= size));
      }
      free(kind, all);
      for (void* const p : all) BOOST_REQUIRE(!is_found(p));
    }
  BOOST_TEST(!the_profile.any_in_use());
  heddle::alloc::profile::stop();
}

BOOST_AUTO_TEST_CASE(are_counted) {
  for (const std::size_t size : sizes) {
    const heddle::alloc::statistics earlier = heddle::alloc::get_statistics();
    const std::size_t block =
        size > class_limit ? (size + page_size - 1) / page_size * page_size : class_info[class_for(size)].size;
    std::vector<void*> scan = allocate(span_kind::scan, size, 3);
    const std::vector<void*> noscan = allocate(span_kind::noscan, size, 5),
                             manual = allocate(span_kind::manual, size, 7);
    collected_blocks::deallocate(scan.back());
    scan.pop_back();
    const heddle::alloc::statistics now = heddle::alloc::get_statistics();
    BOOST_TEST(now.scan == earlier.scan + 2 * block);
    BOOST_TEST(now.noscan == earlier.noscan + 5 * block);
    BOOST_TEST(now.in_use() == earlier.in_use() + 14 * block);
    std::size_t pages = now.large_bytes;
    for (const heddle::alloc::class_statistics& c : now) pages += c.pages;
    BOOST_TEST(pages == now.in_spans);
    free(span_kind::scan, scan);
    free(span_kind::noscan, noscan);
    free(span_kind::manual, manual);
    const heddle::alloc::statistics after = heddle::alloc::get_statistics();
    BOOST_TEST(after.scan == earlier.scan);
    BOOST_TEST(after.noscan == earlier.noscan);
    BOOST_TEST(after.in_use() == earlier.in_use());
  }
  // What this thread has freed of another's is free.
  std::vector<void*> all;
  const std::size_t earlier = heddle::alloc::get_statistics().scan;
  std::thread([&] { all = allocate(span_kind::scan, 5'000, 100); }).join();
  free(span_kind::scan, all);
  BOOST_TEST(heddle::alloc::get_statistics().scan == earlier);
  void* const p = allocate(span_kind::noscan, 4'096);
  const heddle::alloc::statistics now = heddle::alloc::get_statistics();
  BOOST_TEST(to_string(now).find("  noscan                  4 KiB") != std::string::npos, to_string(now));
  BOOST_TEST(to_json(now).find("\"scan\":0,\"noscan\":4096,") != std::string::npos, to_json(now));
  collected_blocks::deallocate(p);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_FIXTURE_TEST_SUITE(blocks_are_found, nothing_kept)

BOOST_AUTO_TEST_CASE(from_every_address_in_them) {
  for (const std::size_t size : sizes)
    for (const span_kind kind : collected_kinds) {
      const std::vector<void*> all = allocate(kind, size, std::min<std::size_t>(many(size), 300));
      const std::size_t step = size <= 1'000 ? 1 : 61;
      for (void* const p : all) {
        const collected_block b = find(p);
        BOOST_REQUIRE(b.start == p);
        BOOST_REQUIRE(b.size >= size);
        BOOST_REQUIRE(b.size == blocks::good_size(size));
        for (std::size_t i = 0; i < b.size; i += step) BOOST_REQUIRE(find(b.start + i).start == p);
        BOOST_REQUIRE(find(b.start + b.size - 1).start == p);
        BOOST_REQUIRE(find(b.start + b.size).start != p);
        BOOST_REQUIRE(find(b.start - 1).start != p);
      }
      free(kind, all);
    }
}

/// A table is for half a GiB of addresses.
BOOST_AUTO_TEST_CASE(whatever_table_they_are_in) {
  constexpr std::size_t size = std::size_t{20} << 20, count = 30;
  std::vector<char*> all;
  for (std::size_t i = 0; i != count; ++i) {
    all.push_back(static_cast<char*>(allocate(span_kind::noscan, size)));
    BOOST_REQUIRE(all.back() != nullptr);
  }
  for (char* const p : all)
    for (std::size_t offset = 0; offset < size; offset += page_size) BOOST_REQUIRE(find(p + offset).start == p);
  for (char* const p : all) collected_blocks::deallocate(p);
  for (char* const p : all)
    for (std::size_t offset = 0; offset < size; offset += page_size) BOOST_REQUIRE(!is_found(p + offset));
}

BOOST_AUTO_TEST_CASE(and_nothing_where_there_is_none) {
  BOOST_TEST(!is_found(nullptr));
  BOOST_TEST(!is_found(this));
  BOOST_TEST(!is_found(reinterpret_cast<void*>(~std::uintptr_t{0})));
  BOOST_TEST(!is_found(the_map.address(0) - 1));
  char* const end = the_map.window_of(the_map.address(0))->end();
  BOOST_TEST(!is_found(end - 1));
  BOOST_TEST(!is_found(end));
  void* const manual = allocate(span_kind::manual, 100);
  BOOST_TEST(!is_found(manual));
  free(span_kind::manual, manual);
  // One block in use: from everywhere else in its span nothing is found, nor behind the last block.
  for (const std::size_t size : {16u, 144u, 1'152u, 20'480u}) {
    void* const p = allocate(span_kind::scan, size);
    const span& s = the_map.span_of(p);
    std::set<char*> found;
    for (std::size_t i = 0; i < s.bytes(); ++i) found.insert(find(s.start + i).start);
    BOOST_TEST((found == std::set<char*>{nullptr, static_cast<char*>(p)}), size << " bytes");
    collected_blocks::deallocate(p);
    for (std::size_t i = 0; i < s.bytes(); ++i) BOOST_REQUIRE(!is_found(s.start + i));
    BOOST_TEST((the_collected_spans.of(p) != nullptr));
    in_spans();
    BOOST_TEST((the_collected_spans.of(p) == nullptr));
  }
}

/// Neither here nor where another thread looks; and those beside them stay.
BOOST_AUTO_TEST_CASE(until_they_are_freed) {
  for (const std::size_t size : sizes)
    for (const bool by_another : {false, true}) {
      const std::vector<void*> all = allocate(span_kind::scan, size, many(size));
      const auto free_odd_ones = [&] {
        for (std::size_t i = 1; i < all.size(); i += 2) collected_blocks::deallocate(all[i]);
        flush();
      };
      by_another ? std::thread(free_odd_ones).join() : free_odd_ones();
      const auto only_even_ones = [&] {
        for (std::size_t i = 0; i != all.size(); ++i)
          if (is_found(static_cast<char*>(all[i]) + size / 2) != (i % 2 == 0)) return false;
        return true;
      };
      BOOST_TEST(only_even_ones());
      bool seen = false;
      std::thread([&] { seen = only_even_ones(); }).join();
      BOOST_TEST(seen);
      for (std::size_t i = 0; i < all.size(); i += 2) collected_blocks::deallocate(all[i]);
      BOOST_TEST(!is_found(all[0]));
    }
}

/// They are handed out again, to whoever needs some of that kind.
BOOST_AUTO_TEST_CASE(and_found_again_when_they_are_used_again) {
  constexpr std::size_t size = 64;
  const std::size_t n = class_info[class_for(size)].capacity;
  const std::vector<void*> all = allocate(span_kind::scan, size, n);
  const std::set<void*> first(all.begin(), all.end());
  std::thread([&] {
    free(span_kind::scan, all);
    flush();
  }).join();
  const std::vector<void*> again = allocate(span_kind::scan, size, n);
  BOOST_TEST((std::set<void*>(again.begin(), again.end()) == first));
  for (void* const p : again) BOOST_REQUIRE(find(static_cast<char*>(p) + 63).start == p);
  free(span_kind::scan, again);
}

/// Pages in which no block is in use go back to the kernel, and nothing else.
BOOST_AUTO_TEST_CASE(after_the_scavenger_has_been_there) {
  constexpr std::size_t size = 16'384;
  std::vector<void*> all = allocate(span_kind::noscan, size, 64), kept;
  for (void* const p : all) std::memset(p, 7, size);
  for (std::size_t i = 0; i != all.size(); ++i)
    if (i % 4 == 1)
      kept.push_back(all[i]);
    else
      collected_blocks::deallocate(all[i]);
  drain();
  const std::size_t spans = the_mheap.figures().in_spans;
  BOOST_TEST(the_scavenger.release_all() >= 40 * size);
  BOOST_TEST(the_mheap.figures().in_spans <= spans);
  for (void* const p : kept) {
    BOOST_REQUIRE(find(p).start == p);
    BOOST_REQUIRE(static_cast<char*>(p)[0] == 7);
    BOOST_REQUIRE(static_cast<char*>(p)[size - 1] == 7);
  }
  free(span_kind::noscan, kept);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_FIXTURE_TEST_SUITE(threads, nothing_kept)

BOOST_AUTO_TEST_CASE(leave_their_blocks_when_they_end) {
  for (const std::size_t size : sizes) {
    std::array<std::vector<void*>, 2> all;
    std::array<mcache*, 2> caches{};
    std::thread([&] {
      for (std::size_t k = 0; k != 2; ++k) all[k] = allocate(collected_kinds[k], size, many(size));
      caches = collected_mcaches;
    }).join();
    for (std::size_t k = 0; k != 2; ++k) {
      if (size <= class_limit) BOOST_TEST(caches[k]->pooled.load());
      for (void* const p : all[k]) BOOST_REQUIRE(find(p).start == p);
      free(collected_kinds[k], all[k]);
      for (void* const p : all[k]) BOOST_REQUIRE(!is_found(p));
    }
  }
}

/// In destructors that run when their caches are gone.
BOOST_AUTO_TEST_CASE(may_go_on_while_they_end) {
  static pthread_key_t key;
  static std::atomic<int> calls;
  calls = 0;
  const auto destructor = [](void* last) {
    std::vector<void*> all = allocate(span_kind::scan, 100, 3);
    if (find(all[1]).start == all[1]) ++calls;
    free(span_kind::scan, all);
    if (last == nullptr || calls == 3) return;
    ::pthread_setspecific(key, last);
  };
  BOOST_REQUIRE(::pthread_key_create(&key, destructor) == 0);
  const std::size_t made = the_mcache_pool.made() - the_mcache_pool.pooled();
  std::thread([] {
    ::pthread_setspecific(key, &key);
    collected_blocks::deallocate(allocate(span_kind::scan, 100));
  }).join();
  BOOST_TEST(calls == 3);
  BOOST_TEST(the_mcache_pool.made() - the_mcache_pool.pooled() == made, "a cache is lost");
  ::pthread_key_delete(key);
}

/// In the child of a fork, whatever other threads were doing.
BOOST_AUTO_TEST_CASE(fork_while_others_work) {
  // One holds the lock of the collected spans most of the time, the other that of an mcentral as often as it can.
  std::atomic<bool> end{false};
  std::thread large([&] {
    while (!end) collected_blocks::deallocate(allocate(span_kind::scan, 128 << 20));
  });
  std::thread small([&] {
    void* const kept = allocate(span_kind::noscan, 5'000);
    while (!end) {
      collected_blocks::deallocate(allocate(span_kind::noscan, 5'000));
      collected_mcaches[1]->drain();
    }
    collected_blocks::deallocate(kept);
  });
  for (int i = 0; i != 200; ++i) {
    const auto how = death_of([] {
      for (const span_kind kind : collected_kinds)
        for (const std::size_t size : {16, 5'000, 2'000'000}) {
          void* const p = collected_blocks::allocate(kind, size);
          if (find(p).start != p || p == nullptr) ::_exit(1);
          collected_blocks::deallocate(p);
          if (is_found(p)) ::_exit(2);
        }
      the_scavenger.release_all();
    });
    BOOST_TEST_REQUIRE((how.signal == 0 && how.status == 0), how.signal << ' ' << how.status << ' ' << how.text);
  }
  end = true;
  large.join();
  small.join();
}

/// Lookups and walks beside threads that allocate, free for each other, and end.
BOOST_AUTO_TEST_CASE(work_while_spans_are_walked_over) {
  constexpr std::size_t enough = 50'000;
  std::atomic<bool> end{false};
  std::atomic<std::size_t> done{0};
  std::array<std::vector<void*>, 2> kept;
  for (std::size_t k = 0; k != 2; ++k)
    for (const std::size_t size : sizes) kept[k].push_back(allocate(collected_kinds[k], size));
  std::array<std::atomic<void*>, 64> exchange{};
  const auto work = [&](std::uint32_t x) {
    const auto below = [&](std::size_t n) { return (x = x * 1'664'525 + 1'013'904'223, x >> 8) % n; };
    for (std::size_t i = 0; !end; ++i) {
      const std::size_t size = sizes[below(i % 64 == 0 ? std::size(sizes) : 8)];
      void* const p = collected_blocks::allocate(collected_kinds[below(2)], size);
      if (void* const old = exchange[below(exchange.size())].exchange(p); old != nullptr)
        collected_blocks::deallocate(old);
      if (i % 512 == 0) drain();
      ++done;
    }
  };
  std::vector<std::thread> workers;
  for (std::uint32_t i = 0; i != 2; ++i) workers.emplace_back(work, i);
  workers.emplace_back([&] {  // what this one overwrites is found by the walk at the end alone
    while (!end) std::thread([&] { exchange[0].exchange(collected_blocks::allocate(span_kind::scan, 200)); }).join();
  });
  for (int round = 0; round < 300 || done < enough; ++round) {
    for (std::size_t k = 0; k != 2; ++k) {
      std::set<const void*> starts;
      the_collected_spans.for_each(collected_kinds[k], [&](collected_span& s) {
        if (s.kind != collected_kinds[k]) BOOST_ERROR("of the wrong kind");
        for (void* const p : kept[k])
          if (the_collected_spans.of(p) == &s && s.is_in_use(s.index_of(p))) starts.insert(p);
      });
      BOOST_TEST_REQUIRE(starts.size() == kept[k].size(), "a block that stays was not found");
    }
    for (const auto& slot : exchange) {
      const char* const p = static_cast<char*>(slot.load(std::memory_order_relaxed));
      const collected_block b = find(p + 9);
      if (b.start == nullptr) continue;
      BOOST_TEST_REQUIRE((b.start <= p + 9 && p + 9 < b.start + b.size));
      BOOST_TEST_REQUIRE(reinterpret_cast<std::uintptr_t>(b.start) % grain == 0);
    }
  }
  end = true;
  for (std::thread& t : workers) t.join();
  for (std::size_t k = 0; k != 2; ++k) free(collected_kinds[k], kept[k]);
  // A sweeper that finds all that is left by itself.
  for (const span_kind kind : collected_kinds)
    the_collected_spans.for_each(kind, [](collected_span& s) {
      char* const start = s.start();
      const std::size_t size = s.block_size();
      for (std::size_t i = 0; i != s.capacity; ++i)
        if (s.is_in_use(i)) collected_blocks::deallocate(start + i * size);
    });
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_FIXTURE_TEST_SUITE(misuse_is_reported, nothing_kept)

template <class F>
void check_reported(F f, const char* words) {
  const auto how = death_of(f);
  BOOST_TEST(how.signal == SIGABRT);
  BOOST_TEST(how.says(words), how.text << " does not say: " << words);
}

BOOST_AUTO_TEST_CASE(of_collected_blocks_by_programs) {
  constexpr const char* words = "it belongs to the collector";
  for (const std::size_t size : {64, 5'000, 300'000, 3'000'000}) {
    void* const p = allocate(span_kind::scan, size);
    check_reported([=] { heddle::alloc::deallocate(p); }, words);
    check_reported([=] { heddle::alloc::deallocate(p); }, "free(0x");
    check_reported([=] { heddle::alloc::deallocate(p, size); }, words);
    check_reported([=] { heddle::alloc::deallocate(p, size); }, "delete(0x");
    check_reported([=] { (void)heddle::alloc::reallocate(p, size, std::nothrow); }, words);
    check_reported([=] { (void)heddle::alloc::reallocate(p, 2 * size, std::nothrow); }, "realloc(0x");
    check_reported([=] { (void)heddle::alloc::usable_size(p); }, words);
    check_reported([=] { blocks::deallocate_within(p, size); }, words);
    if (size <= class_limit) check_reported([=] { heddle::alloc::deallocate(static_cast<char*>(p) + 16); }, words);
    for (const call_extras extras : {call_extras::fill, call_extras::checks})
      check_reported(
          [=] {
            the_extras_word.store(extras);
            heddle::alloc::deallocate(p);
          },
          words);
    collected_blocks::deallocate(p);
  }
}

/// Also by a thread that has no cache yet.
BOOST_AUTO_TEST_CASE(of_collected_blocks_by_threads_without_a_cache) {
  void* const p = allocate(span_kind::noscan, 64);
  check_reported(
      [=] {
        this_mcache = &nobodys_mcache;
        heddle::alloc::deallocate(p);
      },
      "it belongs to the collector");
  collected_blocks::deallocate(p);
}

BOOST_AUTO_TEST_CASE(of_what_is_no_collected_block) {
  constexpr const char* words = "no collected block in use begins there";
  for (const std::size_t size : {64, 5'000, 3'000'000}) {
    void* const manual = allocate(span_kind::manual, size);
    void* const p = allocate(span_kind::scan, size);
    check_reported([=] { collected_blocks::deallocate(manual); }, words);
    check_reported([=] { collected_blocks::deallocate(static_cast<char*>(p) + 16); }, words);
    check_reported([=] { collected_blocks::deallocate(static_cast<char*>(p) - 16); }, words);
    collected_blocks::deallocate(p);
    check_reported([=] { collected_blocks::deallocate(p); }, words);
    free(span_kind::manual, manual);
  }
  check_reported([] { collected_blocks::deallocate(nullptr); }, words);
  check_reported([] { collected_blocks::deallocate(&the_collected_spans); }, words);
}

BOOST_AUTO_TEST_SUITE_END()
