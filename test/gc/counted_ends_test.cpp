// SPDX-License-Identifier: BSL-1.0
//
// The ends of counted objects: what is destroyed how often, in what state, and when.
#include <array>
#include <boost/test/unit_test.hpp>
#include <cstddef>
#include <cstdint>
#include <new>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "dying.hpp"
#include "heddle/gc.hpp"
#include "support/death.hpp"

namespace {

namespace gc = heddle::gc;
using heddle::testing::death_of;
using life = heddle::testing::counted;

/// Counts its ends, and is usable by the compiler: so a class that has it as a member is destroyed member by member.
struct tally {
  constexpr tally() noexcept = default;
  constexpr tally(const tally&) noexcept = default;
  constexpr tally& operator=(const tally&) noexcept = default;
  constexpr ~tally() {
    if (!std::is_constant_evaluated()) ++ended;
  }
  static inline int ended = 0;
};
/// Its counted pointers are dropped before the rest is destroyed.
struct by_members {
  gc::counted<by_members> next, other;
  tally end;
};
static_assert(gc::detail::count_described_by<by_members>(gc::detail::slots_in<by_members>{}).ending ==
              gc::detail::count_ending::members);

/// Asks for itself when it ends.
class asks_at_end : public gc::enable_counted_from_this<asks_at_end> {
 public:
  ~asks_at_end() {
    try {
      counted_from_this();
      ++given;
    } catch (const std::bad_weak_ptr&) {
      ++refused;
    }
  }
  static inline int given = 0, refused = 0;
};
struct parent {
  gc::counted<asks_at_end> left, right;
};

/// Two know each other by a pointer that counts and by a weak one.
class looks_at_end {
 public:
  ~looks_at_end() {
    ++ended;
    if (other.lock() != nullptr || !other.expired()) ++found;
  }
  static void trace(gc::layout<looks_at_end>& l) { l(&looks_at_end::next); }
  gc::counted<looks_at_end> next;
  gc::counted_weak<looks_at_end> other;
  static inline int ended = 0, found = 0;
};

struct ringed {
  gc::counted<ringed> next;
  life alive;
};

/// A base that lies far in its class.
struct near_base {
  char bytes[70'000] = {};
};
struct far_base {
  int value = 7;
};
struct with_far_base : near_base, far_base {};

std::uint64_t weak_cells() {
  for (const gc::type_values& t : gc::heap_by_type())
    if (t.type.find("weak_count_cell") != std::string::npos) return t.objects;
  return 0;
}

struct counted_check : heddle::testing::collected_check {
  counted_check() { gc::collect_cycles(); }
  ~counted_check() { gc::collect_cycles(); }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(counted_ends, counted_check)

BOOST_AUTO_TEST_CASE(members_end_once) {
  constexpr int many = 200'000;
  tally::ended = 0;
  gc::counted<by_members> chain;
  const gc::counted<by_members> shared = gc::make_counted<by_members>();
  for (int i = 0; i != many; ++i) {
    gc::counted<by_members> next = gc::make_counted<by_members>();
    next->next = std::move(chain);
    next->other = shared;
    chain = std::move(next);
  }
  BOOST_TEST(shared.use_count() == many + 1);
  chain = nullptr;
  BOOST_TEST((tally::ended == many && shared.use_count() == 1));
  shared->next = shared;
}

BOOST_AUTO_TEST_CASE(members_of_garbage_end_once) {
  gc::collect_cycles();
  tally::ended = 0;
  {
    const auto a = gc::make_counted<by_members>(), b = gc::make_counted<by_members>();
    a->next = b;
    b->next = a;
    a->other = a;
  }
  BOOST_TEST(gc::collect_cycles() == 2u);
  BOOST_TEST(tally::ended == 2);
}

BOOST_AUTO_TEST_CASE(an_object_that_ends_gives_no_pointer_to_itself) {
  asks_at_end::given = asks_at_end::refused = 0;
  gc::counted<parent> p = gc::make_counted<parent>(gc::make_counted<asks_at_end>(), gc::make_counted<asks_at_end>());
  BOOST_TEST((p->left->counted_from_this() == p->left));
  p = nullptr;  // they end with it, in one go
  BOOST_TEST((asks_at_end::given == 0 && asks_at_end::refused == 2));
}

BOOST_AUTO_TEST_CASE(garbage_is_not_given_to_its_destructors) {
  looks_at_end::ended = looks_at_end::found = 0;
  const std::uint64_t cells = weak_cells();
  {
    const auto a = gc::make_counted<looks_at_end>(), b = gc::make_counted<looks_at_end>();
    a->next = b;
    b->next = a;
    a->other = b;
    b->other = a;
    BOOST_TEST((a->other.lock() == b && weak_cells() == cells + 2));
  }
  BOOST_TEST(gc::collect_cycles() == 2u);
  BOOST_TEST((looks_at_end::ended == 2 && looks_at_end::found == 0));
  BOOST_TEST(weak_cells() == cells);
}

/// The addresses of garbage that had weak references are used again: new objects there have cells of their own.
BOOST_AUTO_TEST_CASE(others_in_the_place_of_garbage_have_their_own_weak_references) {
  std::vector<gc::counted_weak<ringed>> old;
  for (int i = 0; i != 100; ++i) {
    const auto r = gc::make_counted<ringed>();
    r->next = r;
    old.emplace_back(r);
  }
  BOOST_TEST(gc::collect_cycles() == 100u);
  std::vector<gc::counted<ringed>> fresh;
  for (int i = 0; i != 200; ++i) {
    fresh.push_back(gc::make_counted<ringed>());
    const gc::counted_weak<ringed> w = fresh.back();
    BOOST_TEST((w.lock() == fresh.back() && !w.expired()));
  }
  for (const auto& w : old) BOOST_TEST((w.expired() && w.lock() == nullptr));
}

/// Others have left references for this thread, which makes nothing, and destroys one.
BOOST_AUTO_TEST_CASE(the_owner_sees_to_what_waits_when_it_destroys_an_object) {
  gc::counted<life> last = gc::make_counted<life>();
  std::vector<gc::counted<life>> few;
  for (int i = 0; i != 10; ++i) few.push_back(gc::make_counted<life>());
  std::thread([&] { few.clear(); }).join();
  BOOST_TEST(life::alive == 11);
  last = nullptr;
  BOOST_TEST(life::alive == 0);
}

BOOST_AUTO_TEST_CASE(cycles_closed_by_a_swap_are_found) {
  for (const bool other_way : {false, true}) {
    gc::counted<ringed> r = gc::make_counted<ringed>();
    ringed& into = *r;
    other_way ? swap(r, into.next) : swap(into.next, r);
    BOOST_TEST((r == nullptr && life::alive == 1));
    BOOST_TEST(gc::collect_cycles() == 1u);
    BOOST_TEST(life::alive == 0);
  }
}

BOOST_AUTO_TEST_CASE(arrays_beyond_all_bounds_are_refused) {
  for (const std::size_t n : {(std::size_t{1} << 37) + 1, ~std::size_t{0} / sizeof(long) + 2, ~std::size_t{0}}) {
    BOOST_CHECK_THROW(gc::make_counted<long[]>(n), std::bad_array_new_length);
    BOOST_CHECK_THROW(gc::make_counted<long[]>(n, 7L), std::bad_array_new_length);
  }
}

/// Spans of three pages, of which one would lie across two regions of 32 MiB.
BOOST_AUTO_TEST_CASE(objects_in_several_regions_are_found_by_their_addresses) {
  struct three_pages {
    gc::counted<three_pages> next;
    std::array<char, 2'900> rest{};
  };
  std::vector<gc::counted<three_pages>> all;
  for (int i = 0; i != 30'000; ++i) {
    all.push_back(gc::make_counted<three_pages>());
    all.back()->rest.back() = static_cast<char>(i);
  }
  for (std::size_t i = 0; i != all.size(); ++i) {
    const auto* const h = gc::detail::header_around(&all[i]->rest.back());
    BOOST_REQUIRE((h != nullptr && static_cast<const void*>(h + 1) == all[i].get()));
    BOOST_REQUIRE((all[i]->rest.back() == static_cast<char>(i) && all[i].use_count() == 1));
  }
}

BOOST_AUTO_TEST_CASE(pointers_to_far_bases_end_the_process) {
  const auto d = gc::make_counted<with_far_base>();
  BOOST_TEST(static_cast<far_base*>(d.get())->value == 7);
  const auto copied = death_of([&] { const gc::counted<far_base> base = d; });
  BOOST_TEST((copied.signal == SIGABRT && copied.says("more than 65527 bytes into its object")), copied.text);
  const auto moved = death_of([&] { const gc::counted<far_base> base = gc::make_counted<with_far_base>(); });
  BOOST_TEST((moved.signal == SIGABRT && moved.says("more than 65527 bytes into its object")), moved.text);
  const auto cast = death_of([&] { gc::static_pointer_cast<far_base>(d); });
  BOOST_TEST((cast.signal == SIGABRT && cast.says("more than 65527 bytes into its object")), cast.text);
}

BOOST_AUTO_TEST_SUITE_END()
