// SPDX-License-Identifier: BSL-1.0
//
// Several caches, used by one thread: what becomes of spans as their blocks are freed here and elsewhere.
#include "mcache.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <set>
#include <utility>
#include <vector>

#include "caches.hpp"
#include "support/death.hpp"

using namespace heddle::detail;
using namespace caches;
using heddle::testing::death_of;

BOOST_TEST_GLOBAL_FIXTURE(no_scavenger);

BOOST_FIXTURE_TEST_SUITE(mcache_alone, nothing_kept)

BOOST_AUTO_TEST_CASE(blocks_of_all_classes_are_distinct) {
  cache c;
  for (const auto& info : class_info) {
    const std::vector<void*> all = c.allocate(info.size, 3u * info.capacity);
    std::set<char*> starts;
    for (void* const p : all) {
      BOOST_REQUIRE(p != nullptr);
      BOOST_REQUIRE(span_of(p).begins_block(p));
      starts.insert(static_cast<char*>(p));
    }
    BOOST_TEST(starts.size() == all.size());
    for (auto i = starts.begin(); std::next(i) != starts.end(); ++i)
      BOOST_REQUIRE_GE(*std::next(i) - *i, std::ptrdiff_t{info.size});
    c.free(all);
  }
}

/// Also of more than the magazines hold: what goes back to the spans is what was freed first.
BOOST_AUTO_TEST_CASE(what_was_freed_last_comes_first) {
  for (const std::size_t size : sizes)
    for (const std::size_t magazines : {1u, 3u}) {
      cache c;
      const std::size_t room = c->magazine_of(tag_of(class_for(size))).base;
      if (room == 0) continue;  // large blocks go to their spans
      const std::vector<void*> all = c.allocate(size, magazines * room + 1);
      c.free(all);  // one magazine is full, and from now on blocks are taken from there
      for (std::uint32_t i = 0; i != room + 1; ++i) BOOST_TEST(c.allocate(size) == all.rbegin()[i]);
      c.free({all.end() - (room + 1), all.end()});
    }
}

BOOST_AUTO_TEST_CASE(magazines_hold_what_their_bounds_say) {
  for (const std::size_t size : sizes) {
    cache c;
    const magazine_bound bound = magazine_bounds[class_for(size)];
    const auto held = [&] { return std::size_t{c->magazine_of(tag_of(class_for(size))).base}; };
    // Too small each time that all are freed and then as many wanted: they grow.
    std::vector<void*> all;
    for (int i = 0; i != 10; ++i) {
      all = c.allocate(size, 3 * bound.most + 1);
      c.free(all);
    }
    BOOST_TEST(held() == bound.most);
    // Of much that is freed and not wanted again little stays.
    all = c.allocate(size, 50 * bound.most + 1);
    c.free(all);
    BOOST_TEST(held() == bound.least);
  }
}

/// Blocks freed in a full span are used before a new span is made.
BOOST_AUTO_TEST_CASE(full_spans_are_used_again) {
  cache c;
  for (const std::size_t size : sizes) {
    const std::size_t n = capacity_for(size);
    std::vector<void*> all = c.allocate(size, 3 * n);
    std::set<span*> spans;
    for (void* const p : all) spans.insert(&span_of(p));
    BOOST_TEST(spans.size() == 3u);
    std::vector<void*> kept;
    for (std::size_t i = 0; i != all.size(); ++i) {
      if (i % 2 == 0)
        c.free(all[i]);
      else
        kept.push_back(all[i]);
    }
    const std::size_t freed = all.size() - kept.size();
    for (std::size_t i = 0; i != freed; ++i) {
      kept.push_back(c.allocate(size));
      spans.insert(&span_of(kept.back()));
    }
    BOOST_TEST(spans.size() <= 3u + (n == 1), "of " << n << " blocks");
    c.free(kept);
    c->flush();  // those of spans that have been given up meanwhile
  }
}

/// A span of which few blocks are in use is for others too.
BOOST_AUTO_TEST_CASE(sparse_spans_are_given_up) {
  constexpr std::size_t size = 64;
  const std::size_t n = capacity_for(size);
  cache c, other;
  std::vector<void*> all = c.allocate(size, 2 * n);
  void* const one = all[0];
  for (std::size_t i = 1; i != n; ++i) c.free(all[i]);
  c->flush();
  BOOST_TEST((span_of(one).state == span_state::central));
  BOOST_TEST(owner_of(one) == nullptr);
  BOOST_TEST(central_for(size).count() == 1u);
  void* const p = other.allocate(size);
  BOOST_TEST(&span_of(p) == &span_of(one));
  BOOST_TEST(owner_of(one) == other.get());
  BOOST_TEST(central_for(size).count() == 0u);
  other.free({one, p});
  c.free(std::vector<void*>(all.begin() + static_cast<std::ptrdiff_t>(n), all.end()));
}

/// A full span serves again when a sixteenth of its blocks is free, and others when no more than a quarter is in use.
BOOST_AUTO_TEST_CASE(spans_change_hands_at_a_sixteenth_and_a_quarter) {
  for (const std::size_t size : {64u, 128u, 256u, 1024u}) {
    cache c;
    const std::size_t n = capacity_for(size);
    const std::vector<void*> all = c.allocate(size, n + 1);
    span& s = span_of(all[0]);
    BOOST_REQUIRE((s.state == span_state::full));
    std::size_t freed = 0;
    const auto free_one = [&] { c->put_back(s, all[freed++]); };
    while (freed != n / 16) {
      free_one();
      BOOST_TEST((s.state == span_state::full), freed << " of " << n << " are free");
    }
    free_one();
    BOOST_TEST((s.state == span_state::partial));
    while (n - freed != n / 4 + 1) {
      free_one();
      BOOST_TEST((s.state == span_state::partial), freed << " of " << n << " are free");
    }
    BOOST_TEST(owner_of(all[0]) == c.get());
    free_one();
    BOOST_TEST((s.state == span_state::central));
    BOOST_TEST(s.left.load() == n / 4);
    c.free({all.begin() + static_cast<std::ptrdiff_t>(freed), all.end()});
  }
}

BOOST_AUTO_TEST_CASE(who_frees_the_last_block_of_a_span_that_nobody_owns_empties_it) {
  constexpr std::size_t size = 500;
  cache c, other;
  const std::vector<void*> all = c.allocate(size, 3);
  c.end();
  span& s = span_of(all[0]);
  BOOST_TEST((s.state == span_state::central));
  BOOST_TEST(s.left.load() == 3u);
  // The third does not wait with the others until their batch is full.
  for (void* const p : all) other->put_back(s, p);
  // Perhaps the span waits there without a block in use; but whoever looks sees that.
  BOOST_TEST((s.state == span_state::unused || s.left.load() == 0u));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_FIXTURE_TEST_SUITE(mcache_with_others, nothing_kept)

/// Whoever owns the spans; also if they do not fill a magazine.
BOOST_AUTO_TEST_CASE(blocks_of_others_are_used_again) {
  for (const std::size_t size : {16u, 64u, 256u, 1024u, 4096u}) {
    const magazine_bound bound = magazine_bounds[class_for(size)];
    for (const std::size_t n : {bound.useful, 2 * bound.least}) {
      cache owner, other;
      const std::vector<void*> all = owner.allocate(size, n);
      other.free(all);
      for (std::size_t i = all.size(); i-- != 0;) BOOST_TEST(other.allocate(size) == all[i]);
      void* const own = other.allocate(size);
      BOOST_TEST(owner_of(own) == other.get());
      other.free(all);
      other.free(own);
    }
  }
}

/// Nothing is refused while there are free blocks in magazines, of this class or of another.
BOOST_AUTO_TEST_CASE(magazines_are_emptied_before_memory_runs_out) {
  cache c;
  constexpr std::size_t size = 16, other = 8192;
  std::vector<void*> small = c.allocate(size, capacity_for(size));
  void* const large = c.allocate(other);
  the_mheap.set_limit(the_mheap.figures().in_spans);
  while (void* const p = c.allocate(size)) small.push_back(p);
  c.free(large);
  void* p = c.allocate(size);  // of the span of `large`
  BOOST_TEST(p != nullptr);
  small.push_back(p);
  while ((p = c.allocate(size)) != nullptr) small.push_back(p);
  c.free(small.back());
  BOOST_TEST(c.allocate(size) == small.back());
  the_mheap.set_limit(0);
  c.free(small);
}

/// A few small ones may lie in the cache lines of what their owner uses.
BOOST_AUTO_TEST_CASE(a_gift_is_not_used) {
  cache owner, other;
  void* const gift = owner.allocate(16);
  other.free(gift);
  for (int i = 0; i != 1'000; ++i) {
    void* const p = other.allocate(16);
    BOOST_TEST_REQUIRE(owner_of(p) == other.get());
    other.free(p);
  }
}

/// Who only frees keeps little of it.
BOOST_AUTO_TEST_CASE(blocks_of_others_are_bounded_by_number_and_bytes) {
  for (const std::size_t size : {16u, 256u, 1024u, 4096u, 32'768u}) {
    cache owner, other;
    const std::size_t room = other->magazine_of(tag_of(class_for(size))).base;
    const std::size_t batch = std::clamp<std::size_t>((16u << 10) / size, 1, 64);
    const std::vector<void*> all = owner.allocate(size, 3 * (2 * room + batch));
    std::set<span*> spans;
    for (void* const p : all) spans.insert(&span_of(p));
    const auto free_in_spans = [&] {
      std::size_t n = 0;
      for (span* const s : spans) n += remote_word::count(s->remote.load());
      return n;
    };
    other.free(all);
    BOOST_TEST(free_in_spans() > 0u);
    BOOST_TEST(all.size() - free_in_spans() <= 2 * room + spans.size() * batch, size << " bytes");
    other->flush();
    BOOST_TEST(free_in_spans() == all.size());
  }
}

/// What another has freed is used before anything else is.
BOOST_AUTO_TEST_CASE(the_owner_collects_what_others_have_freed) {
  for (const std::size_t size : sizes) {
    cache owner, other;
    std::vector<void*> all = owner.allocate(size, capacity_for(size));
    const std::set<void*> first(all.begin(), all.end());
    other.free(all);
    other->flush();
    const std::vector<void*> again = owner.allocate(size, capacity_for(size));
    BOOST_TEST((std::set<void*>(again.begin(), again.end()) == first), size << " bytes");
    owner.free(again);
  }
}

/// Of each class, in any order, whatever is still in use beside them.
BOOST_AUTO_TEST_CASE(what_comes_back_is_what_was_freed) {
  std::uint32_t x = 11;
  const auto below = [&](std::size_t n) { return (x = x * 1'664'525 + 1'013'904'223, x >> 8) % n; };
  for (const auto& info : class_info) {
    cache owner, other;
    std::vector<void*> all = owner.allocate(info.size, 3u * info.capacity);
    for (std::size_t i = all.size(); i-- > 1;) std::swap(all[i], all[below(i + 1)]);
    const std::size_t kept = all.size() / 3;
    std::set<void*> freed(all.begin() + static_cast<std::ptrdiff_t>(kept), all.end());
    for (void* const p : freed) BOOST_REQUIRE(span_of(p).begins_block(p));
    other.free({all.begin() + static_cast<std::ptrdiff_t>(kept), all.end()});
    other->flush();
    const std::vector<void*> again = owner.allocate(info.size, freed.size());
    BOOST_TEST((std::set<void*>(again.begin(), again.end()) == freed), info.size << " bytes");
    owner.free(again);
    owner.free({all.begin(), all.begin() + static_cast<std::ptrdiff_t>(kept)});
  }
}

/// What has been collected and not looked at yet is for others when the owner ends.
BOOST_AUTO_TEST_CASE(collected_blocks_are_not_left_in_a_full_span) {
  constexpr std::size_t size = 64;
  cache owner, other;
  std::vector<void*> all = owner.allocate(size, capacity_for(size));
  span& s = span_of(all[0]);
  other.free(all);
  other->flush();
  std::vector<void*> again{owner.allocate(size)};
  while (s.free != nullptr) again.push_back(owner.allocate(size));
  BOOST_TEST(s.teller != 0u);
  BOOST_TEST(again.size() < all.size());
  owner.end();
  BOOST_TEST((s.state == span_state::central));
  other.free(again);
}

/// Some have been handed over before: those that are left do not wait for more.
BOOST_AUTO_TEST_CASE(the_rest_of_a_span_that_nobody_owns_does_not_wait) {
  constexpr std::size_t size = 500;
  cache owner, other;
  const std::vector<void*> all = owner.allocate(size, 5);
  owner.end();
  span& s = span_of(all[0]);
  BOOST_TEST((s.state == span_state::central));
  for (int i : {0, 1}) other->put_back(s, all[static_cast<std::size_t>(i)]);
  other->flush();
  BOOST_TEST(remote_word::count(s.remote.load()) == 2u);
  for (std::size_t i : {2, 3}) other->put_back(s, all[i]);
  BOOST_TEST(remote_word::count(s.remote.load()) == 2u, "they have not waited for the last");
  other->put_back(s, all[4]);
  BOOST_TEST((s.state == span_state::unused));
}

/// By two that do not know of each other.
BOOST_AUTO_TEST_CASE(what_two_others_have_freed_is_noticed_when_it_is_collected) {
  const auto twice = death_of([] {
    cache owner, one, other;
    void* const p = owner.allocate(4096);
    one.free(p);
    one->flush();
    other.free(p);
    other->flush();
    owner.allocate(4096);
  });
  BOOST_TEST(twice.says("of its span more blocks were freed than were in use"), twice.text);
}

/// free() does not look whether a small block begins there; who puts it back does.
BOOST_AUTO_TEST_CASE(what_begins_no_block_is_noticed_when_it_goes_back) {
  for (const bool own : {true, false}) {
    const auto inside = death_of([own] {
      cache owner, other;
      cache& freer = own ? owner : other;
      freer.free(static_cast<char*>(owner.allocate(64)) + 16);
      freer->flush();
    });
    BOOST_TEST(inside.says("it lies 16 bytes behind the beginning of block"), inside.text);
  }
}

BOOST_AUTO_TEST_CASE(what_is_freed_twice_is_noticed_when_it_goes_to_its_owner) {
  const auto twice = death_of([] {
    cache owner, other;
    const std::vector<void*> all = owner.allocate(64, 2);
    other.free({all[0], all[1]});
    other.free(all[0]);
    other->flush();
  });
  BOOST_TEST(twice.says("it is free already"), twice.text);
}

/// What tells of blocks stands in one of them, where a program may still write.
BOOST_AUTO_TEST_CASE(what_tells_of_freed_blocks_is_checked) {
  const auto after = [](void (*write)(remote_block&)) {
    return death_of([write] {
      cache owner, other;
      const std::vector<void*> all = owner.allocate(64, capacity_for(64));
      other.free(all);
      other->flush();
      write(*remote_word::list(span_of(all[0]).remote.load()));
      owner.allocate(64, all.size());
    });
  };
  // Which block is reported: it must be that which was written, and not what is found damaged afterwards.
  const auto reported = [](const heddle::testing::death& d) {
    BOOST_TEST(d.says("this free block was written"), d.text);
    const std::size_t at = d.text.find("beginning of block");
    return at == d.text.npos ? d.text : d.text.substr(at, d.text.find(',', at) - at);
  };
  const auto none = after([](remote_block& b) { b.blocks = 0; });
  const auto outside = after([](remote_block& b) { b.first = static_cast<std::uint16_t>(capacity_for(64) - 1); });
  const auto next = after([](remote_block& b) { b.next = 0xffff; });
  BOOST_TEST(reported(outside) == reported(none));
  BOOST_TEST(reported(next) == reported(none));
  // That one is missing is seen at the last of the list.
  reported(after([](remote_block& b) { b.blocks &= b.blocks - 1; }));
}

BOOST_AUTO_TEST_CASE(the_owner_of_a_full_span_is_told) {
  constexpr std::size_t size = 4096;
  const std::size_t n = capacity_for(size);
  cache owner, other;
  std::vector<void*> all = owner.allocate(size, n);
  void* const next = owner.allocate(size);
  span& s = span_of(all[0]);
  BOOST_TEST((s.state == span_state::full));
  BOOST_TEST(s.remote.load() == remote_word::watched);
  other.free(all[0]);
  other->flush();
  BOOST_TEST(owner->has_returned());
  BOOST_TEST((s.remote.load() & remote_word::flags) == 0u);
  // The second free makes no noise.
  other.free(all[1]);
  other->flush();
  owner->collect_returned();
  BOOST_TEST(!owner->has_returned());
  BOOST_TEST((s.state == span_state::partial));
  BOOST_TEST(s.in_use() == n - 2);
  owner.free({all.begin() + 2, all.end()});
  owner.free(next);
}

/// With more than a quarter in use it stays its owner's, also if others have freed most of it at once.
BOOST_AUTO_TEST_CASE(a_span_of_which_others_have_freed_half_stays) {
  constexpr std::size_t size = 64;
  const std::size_t n = capacity_for(size);
  cache owner, other;
  const std::vector<void*> all = owner.allocate(size, n + 1);
  span& s = span_of(all[0]);
  BOOST_REQUIRE((s.state == span_state::full));
  const std::size_t freed = n * 5 / 8;
  for (std::size_t i = 0; i != freed; ++i) other->put_back(s, all[i]);
  other->flush();
  owner->collect_returned();
  BOOST_TEST(s.in_use() == n - freed);
  BOOST_TEST((s.state == span_state::partial));
  BOOST_TEST(owner_of(all[0]) == owner.get());
  owner.free({all.begin() + static_cast<std::ptrdiff_t>(freed), all.end()});
}

BOOST_AUTO_TEST_CASE(a_notice_may_come_late) {
  constexpr std::size_t size = 4096;
  const std::size_t n = capacity_for(size);
  cache owner, other;
  std::vector<void*> all = owner.allocate(size, n);
  void* const next = owner.allocate(size);
  span& s = span_of(all[0]);
  other.free(all[0]);
  other->flush();
  for (std::size_t i = 1; i != n; ++i) owner.free(all[i]);
  owner->flush();
  // All but one are free here, and the span stays until the word has come.
  BOOST_TEST(s.notice_due);
  BOOST_TEST((s.state == span_state::partial));
  owner->collect_returned();
  BOOST_TEST(!s.notice_due);
  BOOST_TEST((s.state != span_state::partial));
  owner.free(next);
}

/// The cache of a thread that has ended goes to the next one, with the full spans that it has.
BOOST_AUTO_TEST_CASE(pool) {
  constexpr std::size_t size = 4096;
  cache other;
  cache ended;
  mcache* const c = ended.get();
  const std::vector<void*> all = ended.allocate(size, capacity_for(size));
  ended.end();
  BOOST_TEST(c->pooled.load());
  BOOST_TEST(owner_of(all[0]) == c);
  other.free(all);
  other->flush();
  BOOST_TEST(!c->has_returned(), "nobody has looked after the cache of a thread that has ended");
  cache again;
  BOOST_TEST(again.get() == c);
  BOOST_TEST(!c->pooled.load());
}

BOOST_AUTO_TEST_CASE(all_at_random) {
  std::vector<cache> caches(3);
  std::vector<std::pair<void*, std::size_t>> held;
  std::uint32_t x = 7;
  const auto below = [&](std::size_t n) { return (x = x * 1'664'525 + 1'013'904'223, x >> 8) % n; };
  for (int i = 0; i != 60'000; ++i) {
    cache& c = caches[below(3)];
    if (held.size() < 100 || (held.size() < 2'000 && below(2) == 0)) {
      const std::size_t size = 16 + below(i % 3 == 0 ? 20'000 : 300);
      auto* const p = static_cast<unsigned char*>(c.allocate(size));
      BOOST_REQUIRE(p != nullptr);
      p[0] = p[size - 1] = static_cast<unsigned char>(size);
      held.push_back({p, size});
    } else {
      const std::size_t k = below(held.size());
      const auto [p, size] = held[k];
      held[k] = held.back();
      held.pop_back();
      const auto* const bytes = static_cast<unsigned char*>(p);
      BOOST_REQUIRE(bytes[0] == static_cast<unsigned char>(size));
      BOOST_REQUIRE(bytes[size - 1] == static_cast<unsigned char>(size));
      c.free(p);
    }
    if (below(5'000) == 0) the_scavenger.release_all();
  }
  for (const auto& [p, size] : held) caches[below(3)].free(p);
}

BOOST_AUTO_TEST_SUITE_END()
