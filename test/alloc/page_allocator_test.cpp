// SPDX-License-Identifier: BSL-1.0
//
// The page allocator against a reference of two bits a page that looks at one page after the other.
#include "page_allocator.hpp"

#include <boost/test/unit_test.hpp>
#include <random>
#include <set>
#include <vector>

#include "support/leak_check.hpp"
#include "support/scale.hpp"

using heddle::detail::no_page;
using heddle::detail::page_allocator;
constexpr std::size_t chunk = page_allocator::chunk_pages;

namespace {

/// What a page allocator shall do, as simply as can be said.
class reference {
 public:
  explicit reference(std::size_t pages) : used_(pages, true), unbacked_(pages, false) {}
  void grow(std::size_t first, std::size_t n) {
    for (std::size_t p = first; p != first + n; ++p) used_[p] = false, unbacked_[p] = true;
  }
  /// The first run of n + align - 1 free pages decides, so that the pages in front of an aligned run are few.
  std::size_t find(std::size_t n, std::size_t align) const {
    std::size_t run = 0;
    for (std::size_t p = 0; p != used_.size(); ++p) {
      run = used_[p] ? 0 : run + 1;
      if (run == n + align - 1) return (p + 1 - run + align - 1) / align * align;
    }
    return no_page;
  }
  bool is_free(std::size_t first, std::size_t n) const {
    for (std::size_t p = first; p != first + n; ++p)
      if (used_[p]) return false;
    return true;
  }
  /// Returns how many of them had no memory.
  std::size_t take(std::size_t first, std::size_t n) {
    std::size_t fresh = 0;
    for (std::size_t p = first; p != first + n; ++p) {
      fresh += unbacked_[p];
      used_[p] = true;
      unbacked_[p] = false;
    }
    return fresh;
  }
  void give(std::size_t first, std::size_t n, bool backed) {
    for (std::size_t p = first; p != first + n; ++p) used_[p] = false, unbacked_[p] = !backed;
  }
  bool is_idle(std::size_t p) const { return !used_[p] && !unbacked_[p]; }
  std::size_t free_pages() const {
    return count([&](std::size_t p) { return !used_[p]; });
  }
  std::size_t idle_pages() const {
    return count([&](std::size_t p) { return is_idle(p); });
  }

 private:
  template <class F>
  std::size_t count(F f) const {
    std::size_t n = 0;
    for (std::size_t p = 0; p != used_.size(); ++p) n += f(p);
    return n;
  }
  std::vector<bool> used_, unbacked_;
};

struct run {
  std::size_t first, pages;
};

/// The allocator and its model, with so many chunks at most.
class both {
 public:
  explicit both(std::size_t chunks) : wanted_(chunks * chunk), runs_() {}
  ~both() { pages_.clear(); }

  void grow(std::size_t first_chunk, std::size_t chunks) { grow_pages(first_chunk * chunk, chunks * chunk); }
  void grow_pages(std::size_t first, std::size_t n) {
    BOOST_REQUIRE(pages_.grow(first, n));
    wanted_.grow(first, n);
  }
  bool take(std::size_t n, std::size_t align) {
    const std::size_t expected = wanted_.find(n, align);
    std::size_t fresh = 0;
    const std::size_t got = pages_.take(n, align, fresh);
    BOOST_REQUIRE_EQUAL(got, expected);
    if (got == no_page) return false;
    BOOST_REQUIRE_EQUAL(fresh, wanted_.take(got, n));
    runs_.push_back({got, n});
    return true;
  }
  bool take_at(std::size_t first, std::size_t n) {
    const bool expected = first + n <= pages_.end() && wanted_.is_free(first, n);
    std::size_t fresh = 0;
    BOOST_REQUIRE_EQUAL(pages_.take_at(first, n, fresh), expected);
    if (!expected) return false;
    BOOST_REQUIRE_EQUAL(fresh, wanted_.take(first, n));
    runs_.push_back({first, n});
    return true;
  }
  /// Gives back a run, or a part of it.
  void give(std::size_t i, std::size_t from, std::size_t n, bool backed) {
    const run r = runs_[i];
    runs_[i] = runs_.back();
    runs_.pop_back();
    if (from != 0) runs_.push_back({r.first, from});
    if (from + n != r.pages) runs_.push_back({r.first + from + n, r.pages - from - n});
    pages_.give(r.first + from, n, backed);
    wanted_.give(r.first + from, n, backed);
  }
  /// Takes all idle pages and gives them back without memory, as the scavenger does.
  void scavenge() {
    const std::size_t idle = wanted_.idle_pages();
    std::size_t taken = 0, from = 0, n = 0;
    pages_.set_round(++round_);
    while ((from = pages_.take_idle(from, round_, n)) != no_page) {
      for (std::size_t p = from; p != from + n; ++p) BOOST_REQUIRE(wanted_.is_idle(p));
      wanted_.give(from, n, false);
      pages_.give(from, n, false);
      taken += n;
      from += n;
    }
    BOOST_REQUIRE_EQUAL(taken, idle);
  }
  void check_counts() {
    BOOST_REQUIRE_EQUAL(pages_.free_pages(), wanted_.free_pages());
    BOOST_REQUIRE_EQUAL(pages_.idle_resident_pages(), wanted_.idle_pages());
  }
  std::size_t runs() const { return runs_.size(); }
  const run& operator[](std::size_t i) const { return runs_[i]; }
  page_allocator& pages() { return pages_; }

 private:
  page_allocator pages_;
  reference wanted_;
  std::vector<run> runs_;
  std::uint32_t round_ = 1;
};

/// Random calls; sizes from a page to more than a chunk, small ones more often.
void at_random(std::uint64_t seed, std::size_t chunks, int steps) {
  std::mt19937_64 random(seed);
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  both b(chunks + 3);
  b.grow(0, 1 + below(chunks));
  for (int i = 0; i != steps; ++i) {
    const std::size_t n = 1 + (below(4) != 0 ? below(20) : below(20) != 0 ? below(200) : below(3 * chunk));
    switch (below(16)) {
      case 0: b.take(n, std::size_t{1} << below(8)); break;
      case 1: b.take_at(below(b.pages().end()), n); break;
      case 2:
        if (b.runs() != 0) b.take_at(b[below(b.runs())].first + n, 1 + below(30));
        break;
      case 3:
        if (below(16) == 0) {
          const std::size_t gap = below(2) * below(2 * chunk);  // numbers of no page
          const std::size_t more = 1 + (below(2) != 0 ? chunk - 1 : below(chunk));
          if (b.pages().end() + gap + more <= chunks * chunk) b.grow_pages(b.pages().end() + gap, more);
        }
        break;
      case 4:
        if (below(8) == 0) b.scavenge();
        break;
      default:
        if (below(2) == 0 || b.runs() == 0) {
          b.take(n, 1);
        } else {
          const std::size_t which = below(b.runs());
          const std::size_t from = below(3) == 0 ? below(b[which].pages) : 0;
          b.give(which, from, 1 + below(b[which].pages - from), below(4) != 0);
        }
    }
    if (i % 64 == 0) b.check_counts();
  }
  while (b.runs() != 0) b.give(0, 0, b[0].pages, true);
  b.check_counts();
  b.scavenge();
  BOOST_TEST(b.pages().idle_resident_pages() == 0u);
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(page_allocator_does, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(as_the_reference_in_a_small_heap) {
  for (std::uint64_t seed = 1; seed <= heddle::testing::times(40, 8) + 0u; ++seed) at_random(seed, 3, 1'500);
}

BOOST_AUTO_TEST_CASE(as_the_reference_in_a_larger_heap) {
  for (std::uint64_t seed = 1; seed <= heddle::testing::times(8, 4) + 0u; ++seed) at_random(100 + seed, 20, 1'500);
}

/// The records about the pages move to larger mappings meanwhile.
BOOST_AUTO_TEST_CASE(as_the_reference_in_a_heap_that_grows) {
  for (std::uint64_t seed = 1; seed <= heddle::testing::times(4) + 0u; ++seed) {
    std::mt19937_64 random(200 + seed);
    both b(300);
    const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
    std::set<std::size_t> sizes;
    for (b.grow_pages(0, 5); b.pages().end() < 250 * chunk; sizes.insert(b.pages().bytes())) {
      b.grow_pages(b.pages().end() + below(2) * below(20), 1 + below(3 * chunk));
      b.take(1 + below(chunk), 1);
      if (b.runs() > 1 && below(2) == 0) b.give(below(b.runs()), 0, 1, below(2) == 0);
      b.check_counts();
    }
    while (b.runs() != 0) b.give(0, 0, b[0].pages, true);
    b.check_counts();
    b.scavenge();
    BOOST_TEST(sizes.size() > 4u);
    BOOST_TEST(*sizes.begin() == 4096u);
    BOOST_TEST(*sizes.rbegin() <= 250u * 145 * 2 + 4096);
  }
}

BOOST_AUTO_TEST_CASE(nothing_when_all_is_cleared) {
  both b(40);
  b.grow(0, 40);
  b.take(3, 1);
  b.pages().clear();
  std::size_t fresh = 0;
  BOOST_TEST(b.pages().take(1, 1, fresh) == no_page);
  BOOST_TEST(b.pages().free_pages() == 0u);
  BOOST_TEST(b.pages().end() == 0u);
  BOOST_TEST(b.pages().bytes() == 0u);
  BOOST_TEST(b.pages().grow(0, 7));
  BOOST_TEST(b.pages().take(7, 1, fresh) == 0u);
  BOOST_TEST(fresh == 7u);
  BOOST_TEST(b.pages().take(1, 1, fresh) == no_page);
}

BOOST_AUTO_TEST_CASE(first_fit_by_address) {
  both b(2);
  b.grow(0, 2);
  for (int i = 0; i != 10; ++i) b.take(10, 1);
  b.give(7, 0, 10, true);  // pages 70 to 80
  b.give(2, 0, 10, true);  // 20 to 30
  b.take(10, 1);
  BOOST_TEST(b[b.runs() - 1].first == 20u);
  b.take(11, 1);
  BOOST_TEST(b[b.runs() - 1].first == 100u);
  b.take(1, 1);
  BOOST_TEST(b[b.runs() - 1].first == 70u);
}

/// A root sums up 512 chunks: runs that begin below one and end below the next, and runs longer than one.
BOOST_AUTO_TEST_CASE(runs_across_roots) {
  constexpr std::size_t root = 512 * chunk;
  constexpr std::size_t chunks = 3 * 512;
  page_allocator p;
  BOOST_TEST(p.grow(0, chunks * chunk));
  std::size_t fresh = 0;
  BOOST_TEST(p.take(root - 10, 1, fresh) == 0u);
  BOOST_TEST(fresh == root - 10);
  BOOST_TEST(p.take(20, 1, fresh) == root - 10);  // from one root into the next
  BOOST_TEST(p.take(root + 5, 1, fresh) == root + 10);
  BOOST_TEST(p.take(root, 1, fresh) == no_page);
  const std::size_t rest = p.free_pages();
  BOOST_TEST(p.take(rest, 1, fresh) == 3 * root - rest);
  BOOST_TEST(p.free_pages() == 0u);
  BOOST_TEST(p.take(1, 1, fresh) == no_page);
  p.give(root - 5, 10);
  BOOST_TEST(p.take(10, 1, fresh) == root - 5);
  BOOST_TEST(fresh == 0u);
  p.give(0, 3 * root);
  BOOST_TEST(p.take(3 * root, 1, fresh) == 0u);
  p.clear();
}

BOOST_AUTO_TEST_CASE(aligned_runs) {
  both b(4);
  b.grow(0, 4);
  b.take(3, 1);
  for (const std::size_t align : {2u, 8u, 64u, 512u}) {
    b.take(5, align);
    BOOST_TEST(b[b.runs() - 1].first % align == 0u);
  }
}

BOOST_AUTO_TEST_CASE(what_was_freed_just_now_is_not_idle_yet) {
  both b(2);
  b.grow(0, 2);
  page_allocator& p = b.pages();
  std::size_t fresh = 0;
  std::size_t n = 0;
  const std::size_t old = p.take(100, 1, fresh);
  const std::size_t recent = p.take(chunk, 1, fresh);  // ends in the second chunk
  p.set_round(5);
  p.give(old, 50);
  p.set_round(9);
  p.give(recent + chunk - 10, 10);
  BOOST_TEST(p.take_idle(0, 5, n) == no_page);
  BOOST_TEST(p.take_idle(0, 9, n) == old);
  BOOST_TEST(n == 50u);
  BOOST_TEST(p.take_idle(0, 9, n) == no_page);
  BOOST_TEST(p.take_idle(0, 10, n) == recent + chunk - 10);
  BOOST_TEST(n == 10u);
}

BOOST_AUTO_TEST_CASE(rounds_wrap_around) {
  both b(1);
  b.grow(0, 1);
  page_allocator& p = b.pages();
  std::size_t fresh = 0;
  std::size_t n = 0;
  p.take(10, 1, fresh);
  p.set_round(0xffff'fffe);
  p.give(0, 10);
  BOOST_TEST(p.take_idle(0, 0xffff'fffe, n) == no_page);
  BOOST_TEST(p.take_idle(0, 2, n) == 0u);
}

/// At a time the kernel takes back no more than it can in some 100 us.
BOOST_AUTO_TEST_CASE(a_long_run_is_idle_in_parts) {
  both b(1);
  b.grow(0, 1);
  page_allocator& p = b.pages();
  std::size_t fresh = 0;
  std::size_t n = 0;
  p.take(300, 1, fresh);
  p.give(0, 300);
  BOOST_TEST(p.take_idle(0, 1, n) == 0u);
  BOOST_TEST(n == 128u);
  BOOST_TEST(p.take_idle(128, 1, n) == 128u);
  BOOST_TEST(n == 128u);
  BOOST_TEST(p.take_idle(256, 1, n) == 256u);
  BOOST_TEST(n == 44u);
  BOOST_TEST(p.take_idle(300, 1, n) == no_page);
}

/// Also below the root in which single pages were taken last.
BOOST_AUTO_TEST_CASE(the_lowest_pages_come_first_again) {
  constexpr std::size_t root = chunk * 8 * 8 * 8;
  both b(512 + 2);
  b.grow(0, 512 + 2);
  page_allocator& p = b.pages();
  std::size_t fresh = 0;
  BOOST_TEST(p.take(root, 1, fresh) == 0u);
  BOOST_TEST(p.take(1, 1, fresh) == root);
  p.give(7, 1);
  BOOST_TEST(p.take(1, 1, fresh) == 7u);
  BOOST_TEST(p.take(1, 1, fresh) == root + 1);
  p.give(root - 3, 3, false);
  BOOST_TEST(p.take(2, 1, fresh) == root - 3);
  BOOST_TEST(p.take(3, 1, fresh) == root + 2);
}

BOOST_AUTO_TEST_SUITE_END()
