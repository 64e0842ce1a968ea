// SPDX-License-Identifier: BSL-1.0
#include "mheap.hpp"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstring>
#include <utility>
#include <vector>

#include "blocks.hpp"
#include "options.hpp"
#include "scavenger.hpp"
#include "support/death.hpp"
#include "support/leak_check.hpp"
#include "support/scale.hpp"

using namespace heddle::detail;

namespace {

std::size_t in_spans() {
  if (this_mcache != &nobodys_mcache) this_mcache->drain();
  the_scavenger.release_all();
  return the_mheap.figures().in_spans;
}

/// A child process of the tests below may not start a thread under TSan.
struct no_scavenger {
  no_scavenger() { the_options.scavenger = scavenging::off; }
};
BOOST_TEST_GLOBAL_FIXTURE(no_scavenger);

struct nothing_kept : heddle::testing::leak_check {
  std::size_t spans = in_spans();
  std::size_t huge = the_mheap.figures().huge;
  void teardown() {
    BOOST_TEST(in_spans() == spans, "spans are left over");
    BOOST_TEST(the_mheap.figures().huge == huge, "huge blocks are left over");
    leak_check::teardown();
  }
};

/// Bytes that tell where they belong.
unsigned char pattern(std::size_t i) { return static_cast<unsigned char>(i * 2'654'435'761u >> 24); }
void write_pattern(void* p, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; i += 509) static_cast<unsigned char*>(p)[i] = pattern(i);
}
bool has_pattern(const void* p, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; i += 509)
    if (static_cast<const unsigned char*>(p)[i] != pattern(i)) return false;
  return true;
}
bool is_zero(const void* p, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; ++i)
    if (static_cast<const unsigned char*>(p)[i] != 0) return false;
  return true;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(mheap_gives, nothing_kept)

BOOST_AUTO_TEST_CASE(spans_of_all_classes) {
  std::vector<span*> all;
  for (std::size_t c = 0; c != class_count; ++c) {
    span* const s = the_mheap.make_span(static_cast<heddle::detail::size_class>(c), class_info[c].pages);
    BOOST_REQUIRE(s != nullptr);
    BOOST_TEST(s->size == class_info[c].size);
    BOOST_TEST(s->capacity == class_info[c].capacity);
    BOOST_TEST(s->in_use() == 0u);
    for (std::size_t page = 0; page != s->pages; ++page) BOOST_TEST(&the_map.span_of(s->start + page * page_size) == s);
    all.push_back(s);
  }
  for (span* const s : all) {
    char* const start = s->start;
    the_mheap.free_span(*s);
    BOOST_TEST(&the_map.span_of(start) == the_map.spans);
  }
}

BOOST_AUTO_TEST_CASE(a_span_that_was_freed_serves_its_own_class) {
  const heddle::detail::size_class c = class_for(1024), other = class_for(16 << 10);
  span* const large = the_mheap.make_span(class_count, 64);
  BOOST_REQUIRE(large != nullptr && the_mheap.resize(*large, 1));  // now there are free pages
  span* const s = the_mheap.make_span(c, class_info[c].pages);
  BOOST_REQUIRE(s != nullptr);
  char* const start = s->start;
  the_mheap.free_span(*s);
  span* const t = the_mheap.make_span(other, class_info[other].pages);
  BOOST_REQUIRE(t != nullptr);
  BOOST_TEST((t->start + t->bytes() <= start || t->start >= start + class_info[c].pages * page_size));
  span* const again = the_mheap.make_span(c, class_info[c].pages);
  BOOST_REQUIRE(again != nullptr);
  BOOST_TEST(static_cast<void*>(again->start) == start);
  BOOST_TEST(again->in_use() == 0u);
  for (span* const one : {large, t, again}) the_mheap.free_span(*one);
}

BOOST_AUTO_TEST_CASE(what_is_kept_becomes_pages_before_the_heap_grows) {
  constexpr std::size_t bytes = std::size_t{96} << 20;
  const heddle::detail::size_class c = class_for(2048);
  std::vector<span*> all;
  const auto make = [&](heddle::detail::size_class klass, std::size_t pages) {
    for (std::size_t made = 0; made < bytes; made += pages * page_size) {
      all.push_back(the_mheap.make_span(klass, pages));
      BOOST_REQUIRE(all.back() != nullptr);
    }
  };
  const auto free = [&] {
    for (span* const s : all) the_mheap.free_span(*s);
    all.clear();
  };
  make(c, class_info[c].pages);
  free();
  const std::size_t mapped = the_mheap.figures().mapped;
  BOOST_TEST(the_mheap.figures().idle_resident >= bytes);
  make(class_count, (std::size_t{4} << 20) / page_size);
  BOOST_TEST(the_mheap.figures().mapped == mapped);
  free();
}

BOOST_AUTO_TEST_CASE(what_is_kept_serves_others_before_pages_without_memory) {
  const heddle::detail::size_class c = class_for(1024), other = class_for(16 << 10);
  the_scavenger.release_all();  // from now on pages that are free have no memory
  std::vector<span*> all(32);
  for (span*& s : all) BOOST_REQUIRE((s = the_mheap.make_span(c, class_info[c].pages)) != nullptr);
  for (span* const s : all) the_mheap.free_span(*s);
  const std::size_t idle = the_mheap.figures().idle_resident;
  BOOST_TEST(idle >= all.size() * class_info[c].pages * page_size);
  span* const s = the_mheap.make_span(other, class_info[other].pages);
  BOOST_REQUIRE(s != nullptr);
  BOOST_TEST(!s->zeroed);
  BOOST_TEST(the_mheap.figures().idle_resident == idle - s->bytes());
  the_mheap.free_span(*s);
}

BOOST_AUTO_TEST_CASE(large_blocks_do_not_leave_much_idle) {
  constexpr std::size_t pages = (std::size_t{20} << 20) / page_size, more = (std::size_t{24} << 20) / page_size;
  std::vector<span*> all;
  const auto make = [&](std::size_t n) {
    all.push_back(the_mheap.make_span(class_count, n));
    BOOST_REQUIRE(all.back() != nullptr);
  };
  for (int i = 0; i != 8; ++i) make(pages);
  for (int i = 0; i != 8; i += 2) the_mheap.free_span(*std::exchange(all[i], nullptr));  // no two are neighbours
  BOOST_TEST(the_mheap.figures().idle_resident >= std::size_t{80} << 20);
  for (int i = 0; i != 2; ++i) make(more);  // none has room there
  BOOST_TEST(the_mheap.figures().idle_resident >= std::size_t{80} << 20, "though nothing is to be given back");
  the_options.scavenger = scavenging::steps;
  for (int i = 0; i != 4; ++i) make(more);
  the_options.scavenger = scavenging::off;
  const mheap_figures now = the_mheap.figures();
  BOOST_TEST(now.idle_resident <= now.in_spans / 8);
  for (span* const s : all)
    if (s != nullptr) the_mheap.free_span(*s);
}

BOOST_AUTO_TEST_CASE(a_large_heap_gets_memory_for_whole_spans) {
  if (::madvise(nullptr, 0, MADV_POPULATE_WRITE) != 0) return;  // before Linux 5.14
  const heddle::detail::size_class c = class_for(512);
  std::vector<span*> all;
  // Kernel pages with memory behind them in the next span that reads as zeros.
  const auto resident_in_fresh_span = [&] {
    for (;;) {
      span* const s = the_mheap.make_span(c, class_info[c].pages);
      BOOST_REQUIRE(s != nullptr);
      all.push_back(s);
      if (!s->zeroed) continue;
      std::vector<unsigned char> pages(s->bytes() / 4096);
      BOOST_REQUIRE(::mincore(s->start, s->bytes(), pages.data()) == 0);
      return std::pair(std::count_if(pages.begin(), pages.end(), [](unsigned char p) { return p & 1; }), pages.size());
    }
  };
  BOOST_REQUIRE(the_mheap.figures().in_spans < std::size_t{8} << 20);
  BOOST_TEST(resident_in_fresh_span().first == 0);
  span* const large = the_mheap.make_span(class_count, (std::size_t{16} << 20) / page_size);
  BOOST_REQUIRE(large != nullptr);
  const auto [resident, pages] = resident_in_fresh_span();
  BOOST_TEST(static_cast<std::size_t>(resident) == pages);
  all.push_back(large);
  for (span* const s : all) the_mheap.free_span(*s);
}

BOOST_AUTO_TEST_CASE(large_spans_grow_and_shrink_in_place) {
  span* const s = the_mheap.make_span(class_count, 300);
  BOOST_REQUIRE(s != nullptr);
  write_pattern(s->start, s->bytes());
  BOOST_TEST(the_mheap.resize(*s, 200));
  BOOST_TEST(s->size == 200 * page_size);
  BOOST_TEST(the_mheap.resize(*s, 280));
  BOOST_TEST(s->pages == 280u);
  BOOST_TEST(has_pattern(s->start, 200 * page_size));
  span* const behind = the_mheap.make_span(class_count, 300);
  BOOST_REQUIRE(behind != nullptr);
  if (behind->start == s->start + s->bytes()) BOOST_TEST(!the_mheap.resize(*s, 281));
  the_mheap.free_span(*behind);
  the_mheap.free_span(*s);
}

BOOST_AUTO_TEST_CASE(aligned_spans) {
  for (std::size_t align = page_size; align <= mheap::huge_limit / 2; align *= 2) {
    span* const s = the_mheap.make_span(class_count, 3, align);
    BOOST_REQUIRE(s != nullptr);
    BOOST_TEST(reinterpret_cast<std::uintptr_t>(s->start) % align == 0u);
    the_mheap.free_span(*s);
  }
}

BOOST_AUTO_TEST_CASE(zeroed_means_zeroed) {
  for (int i = 0; i != 20; ++i) {
    span* const s = the_mheap.make_span(class_count, 200 + static_cast<std::size_t>(i) * 7);
    BOOST_REQUIRE(s != nullptr);
    if (s->zeroed) BOOST_TEST(is_zero(s->start, s->bytes()));
    std::memset(s->start, 1, s->bytes());
    the_mheap.free_span(*s);
    if (i % 5 == 4) the_scavenger.release_all();
  }
}

BOOST_AUTO_TEST_CASE(huge_blocks) {
  std::vector<std::pair<void*, std::size_t>> all;
  for (std::size_t i = 0; i != 200; ++i) {
    const std::size_t bytes = mheap::huge_limit + i * 4096;
    void* const p = the_mheap.make_huge(bytes, i % 8 == 0 ? std::size_t{1} << 26 : 4096);
    BOOST_REQUIRE(p != nullptr);
    if (i % 8 == 0) BOOST_TEST(reinterpret_cast<std::uintptr_t>(p) % (1 << 26) == 0u);
    BOOST_TEST(!the_map.contains(p));
    BOOST_TEST(the_mheap.huge_size(p) == bytes);
    static_cast<char*>(p)[bytes - 1] = 1;
    all.push_back({p, bytes});
  }
  BOOST_TEST(the_mheap.huge_size(&all) == 0u);
  BOOST_TEST(!the_mheap.free_huge(&all));
  for (const auto& [p, bytes] : all) {
    BOOST_TEST(the_mheap.huge_size(p) == bytes);
    BOOST_TEST(the_mheap.free_huge(p));
    BOOST_TEST(the_mheap.huge_size(p) == 0u);
  }
}

BOOST_AUTO_TEST_CASE(huge_blocks_change_their_size) {
  const std::size_t bytes = mheap::huge_limit;
  void* p = the_mheap.make_huge(bytes, 4096);
  BOOST_REQUIRE(p != nullptr);
  write_pattern(p, bytes);
  p = the_mheap.resize_huge(p, 5 * bytes);
  BOOST_REQUIRE(p != nullptr);
  BOOST_TEST(the_mheap.huge_size(p) == 5 * bytes);
  BOOST_TEST(has_pattern(p, bytes));
  p = the_mheap.resize_huge(p, bytes / 2);
  BOOST_REQUIRE(p != nullptr);
  BOOST_TEST(has_pattern(p, bytes / 2));
  BOOST_TEST(the_mheap.free_huge(p));
}

BOOST_AUTO_TEST_CASE(pages_move_with_their_contents) {
  span* const s = the_mheap.make_span(class_count, 1'000);
  BOOST_REQUIRE(s != nullptr);
  char* const old_start = s->start;
  const std::size_t bytes = s->bytes();
  write_pattern(old_start, bytes);
  void* const p = the_mheap.move_to_huge(*s, 3 * bytes);
  if (p == nullptr) {  // a kernel without MREMAP_DONTUNMAP; then nothing has changed
    BOOST_TEST(has_pattern(old_start, bytes));
    the_mheap.free_span(*s);
    return;
  }
  BOOST_TEST(has_pattern(p, bytes));
  BOOST_TEST(is_zero(static_cast<char*>(p) + bytes, 2 * bytes));
  BOOST_TEST(&the_map.span_of(old_start) == the_map.spans);
  span* const next = the_mheap.make_span(class_count, 1'000);
  BOOST_REQUIRE(next != nullptr);
  if (next->zeroed) BOOST_TEST(is_zero(next->start, bytes));
  the_mheap.free_span(*next);
  BOOST_TEST(the_mheap.free_huge(p));
}

/// The kernel would unlock all that lies in the same mapping, which is most of the heap.
BOOST_AUTO_TEST_CASE(locked_pages_do_not_move) {
  span* const s = the_mheap.make_span(class_count, 100);
  span* const next = the_mheap.make_span(class_count, 100);
  BOOST_REQUIRE((s != nullptr && next != nullptr));
  const std::size_t bytes = s->bytes();
  write_pattern(s->start, bytes);
  if (::syscall(SYS_mlock, s->start, bytes) == 0) {  // sanitizers replace mlock() by nothing
    errno = 77;
    BOOST_TEST(the_mheap.move_to_huge(*s, 3 * bytes) == nullptr);
    BOOST_TEST(errno == 77);
    BOOST_TEST(has_pattern(s->start, bytes));
    BOOST_TEST(::msync(s->start, bytes, MS_ASYNC | MS_INVALIDATE) != 0);
    ::syscall(SYS_munlock, s->start, bytes);
  }
  the_mheap.free_span(*s);
  the_mheap.free_span(*next);
}

BOOST_AUTO_TEST_CASE(reallocate_keeps_what_fits) {
  auto* p = static_cast<unsigned char*>(blocks::allocate(1));
  std::size_t kept = 1;
  write_pattern(p, 1);
  for (std::size_t size = 3; size < (std::size_t{100} << 20); size = size * 5 / 3) {
    p = static_cast<unsigned char*>(blocks::reallocate(p, size));
    BOOST_REQUIRE(p != nullptr);
    BOOST_TEST(has_pattern(p, kept), size);
    BOOST_TEST(blocks::usable_size(p) >= size);
    write_pattern(p, size);
    kept = size;
  }
  for (std::size_t size = kept / 2; size != 0; size = size * 3 / 5) {
    p = static_cast<unsigned char*>(blocks::reallocate(p, size));
    BOOST_REQUIRE(p != nullptr);
    BOOST_TEST(has_pattern(p, size), size);
  }
  blocks::deallocate(p);
}

BOOST_AUTO_TEST_CASE(absurd_sizes_are_refused) {
  for (const std::size_t size : {std::size_t{1} << 46, ~std::size_t{0} >> 1, ~std::size_t{0} - 4096, ~std::size_t{0}}) {
    BOOST_TEST(blocks::allocate(size) == nullptr);
    BOOST_TEST(blocks::allocate_zeroed(size) == nullptr);
    BOOST_TEST(blocks::allocate_aligned(64, size) == nullptr);
    void* const p = blocks::allocate(5'000'000);
    BOOST_TEST(blocks::reallocate(p, size) == nullptr);
    BOOST_TEST(blocks::usable_size(p) >= 5'000'000u);
    blocks::deallocate(p);
  }
  BOOST_TEST(blocks::allocate_aligned(std::size_t{1} << 60, 1) == nullptr);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_FIXTURE_TEST_SUITE(mheap_refuses, nothing_kept)

/// Where the process may have no more address space, blocks are refused, and those that there are remain usable.
BOOST_AUTO_TEST_CASE(limit_of_address_space) {
  if (heddle::testing::sanitized) return;  // the sanitizers want address space themselves
  const auto died = heddle::testing::death_of([] {
    static void* all[100'000];
    void* const first = blocks::allocate(2'000'000);
    rlimit now{};
    ::getrlimit(RLIMIT_AS, &now);
    long pages = 0;
    if (std::FILE* const f = std::fopen("/proc/self/statm", "r"); f != nullptr) {
      if (std::fscanf(f, "%ld", &pages) != 1) pages = 0;
      std::fclose(f);
    }
    now.rlim_cur = static_cast<rlim_t>(pages) * 4096 + (std::size_t{200} << 20);
    ::setrlimit(RLIMIT_AS, &now);
    std::size_t n = 0;
    while (n != std::size(all) && (all[n] = blocks::allocate(1'500'000)) != nullptr) ++n;
    if (n < 20 || n == std::size(all)) ::_exit(2);
    if (blocks::allocate(std::size_t{1} << 30) != nullptr) ::_exit(3);
    for (std::size_t i = 0; i != n; ++i) blocks::deallocate(all[i]);
    std::size_t again = 0;
    while (again != n && (all[again] = blocks::allocate(1'500'000)) != nullptr) ++again;
    if (again != n) ::_exit(4);
    std::memset(first, 1, 2'000'000);
    ::_exit(0);
  });
  BOOST_TEST(died.signal == 0, died.text);
  BOOST_TEST(died.status == 0, died.text);
}

BOOST_AUTO_TEST_CASE(more_than_its_limit) {
  constexpr std::size_t pages = 300;
  in_spans();  // gives back what is idle
  const mheap_figures now = the_mheap.figures();
  const std::size_t needed = now.in_spans + now.huge + pages * page_size;
  the_mheap.set_limit(needed - 1);
  BOOST_TEST(the_mheap.make_span(class_count, pages) == nullptr);
  the_mheap.set_limit(needed);
  span* const s = the_mheap.make_span(class_count, pages);
  the_mheap.set_limit(0);
  BOOST_REQUIRE(s != nullptr);
  the_mheap.free_span(*s);
}

BOOST_AUTO_TEST_CASE(misuse_ends_the_process) {
  const auto dies = [](auto f, const char* words) {
    const auto d = heddle::testing::death_of(f);
    BOOST_TEST(d.signal == SIGABRT, words);
    BOOST_TEST(d.says(words), d.text);
  };
  char* const small = static_cast<char*>(blocks::allocate(100));
  void* const large = blocks::allocate(3'000'000);
  int local = 0;
  dies([&] { blocks::deallocate(&local); }, "not memory of this heap");
  dies([&] { blocks::reallocate(small + 16, 10); }, "realloc");
  dies([&] { blocks::usable_size(static_cast<char*>(large) + 16); }, "malloc_usable_size");
  dies([&] { blocks::deallocate_sized(small, 2'000); }, "as 2000 bytes");
  dies(
      [&] {
        blocks::deallocate(large);
        blocks::deallocate(large);
      },
      "freed before");
  blocks::deallocate(small);
  blocks::deallocate(large);
}

BOOST_AUTO_TEST_SUITE_END()
