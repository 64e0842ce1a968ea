// SPDX-License-Identifier: BSL-1.0
//
// Addresses inside of objects of all sizes, far from their begins; very large arrays, empty ones, very many types.
#include <array>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <thread>
#include <utility>
#include <vector>

#include "dying.hpp"
#include "heddle/gc.hpp"
#include "support/scale.hpp"
#include "witness.hpp"

namespace {

namespace gc = heddle::gc;
using heddle::testing::collect_until;
using heddle::testing::counted;
using heddle::testing::far_below;
using heddle::testing::is_whole_list;
using heddle::testing::make_list;
using heddle::testing::make_witness;
using heddle::testing::sanitized;
using heddle::testing::witness;

constexpr std::size_t mebi = std::size_t{1} << 20;

struct large_with_destructor {
  large_with_destructor() noexcept { first = last = 7; }
  ~large_with_destructor() {
    if (first == 7 && last == 7) ++ended;
  }
  std::uint64_t first;
  std::array<char, 3 * mebi> middle;
  std::uint64_t last;
  static inline std::atomic<int> ended{0};
};

/// A type of its own for each number.
template <std::size_t I>
struct numbered {
  gc::ptr<witness> a;
  std::array<std::uint64_t, I % 7> gap;
  gc::ptr<witness> b;
  std::uint64_t number = I;
};
struct any_numbered {
  void* object;
  bool (*is_whole)(const void*, std::uint64_t);
};
template <std::size_t I>
any_numbered make_numbered(std::uint64_t id) {
  gc::ptr<numbered<I>> n =
      gc::make<numbered<I>>(make_witness(id), std::array<std::uint64_t, I % 7>{}, make_witness(id + 1));
  return {n.get(), [](const void* p, std::uint64_t i) {
            const auto& o = *static_cast<const numbered<I>*>(p);
            return o.number == I && o.a->is_whole() && o.b->is_whole() && o.a->id == i && o.b->id == i + 1;
          }};
}
using maker = any_numbered (*)(std::uint64_t);
template <std::size_t... I>
constexpr std::array<maker, sizeof...(I)> makers(std::index_sequence<I...>) {
  return {make_numbered<I>...};
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(interiors, heddle::testing::collected_check)

/// Every distance from the begin, across the sizes at which something changes.
BOOST_AUTO_TEST_CASE(weak_and_plain_at_all_distances) {
  for (const std::size_t bytes : {std::size_t{1}, std::size_t{16}, std::size_t{2048}, std::size_t{32 * 1024},
                                  std::size_t{70'000}, 3 * mebi, 40 * mebi})
    for (const std::size_t at :
         {std::size_t{0}, bytes / 2, bytes > 65'537 ? std::size_t{65'537} : bytes - 1, bytes - 1}) {
      gc::ptr<char> inside;
      gc::weak<char> weak;
      far_below([&] {
        inside = gc::make_array<char>(bytes).get() + at;
        *inside = 'x';
        weak = inside;
      });
      gc::collect();
      far_below([&] {
        BOOST_TEST((weak.lock() == inside && *inside == 'x'), bytes << " bytes at " << at);
        inside = nullptr;
      });
      BOOST_TEST(collect_until([&] { return weak.expired(); }), bytes << " bytes at " << at);
    }
}

/// Its elements are scanned to the last, also those beyond the first 32 MiB.
BOOST_AUTO_TEST_CASE(a_very_large_array_of_pointers) {
  constexpr std::size_t n = 70 * mebi / sizeof(void*);
  gc::ptr<gc::ptr<witness>[]> array = gc::make_array<gc::ptr<witness>>(n);
  for (std::size_t i = 0; i < n; i += n / 500) array[i] = make_list(i % 3);
  array[n - 1] = make_list(2);
  gc::ptr<witness>* const inside = array.get() + n / 2;
  array = nullptr;
  for (int k = 0; k != 2; ++k) {
    gc::collect();
    far_below([] { make_list(3000); });
  }
  bool whole = is_whole_list(inside[n - 1 - n / 2]);
  for (std::size_t i = 0; i < n; i += n / 500) whole &= is_whole_list((inside - n / 2)[i]);
  BOOST_TEST(whole);
}

BOOST_AUTO_TEST_CASE(large_objects_with_destructors) {
  large_with_destructor::ended = 0;
  far_below([] {
    for (int i = 0; i != 3; ++i) gc::make<large_with_destructor>();
  });
  BOOST_TEST(collect_until([] { return large_with_destructor::ended == 3; }));
}

/// More than 32 MiB of elements with destructors: kept as a whole by one of them, destroyed once each.
BOOST_AUTO_TEST_CASE(very_many_elements_with_destructors) {
  struct fat : counted {
    std::array<char, 1000> more{};
  };
  constexpr std::size_t n = 40'000;
  gc::ptr<fat> inside;
  far_below([&] { inside = gc::make_array<fat>(n).get() + n - 1; });
  gc::collect();
  gc::collect();
  BOOST_TEST(counted::alive == static_cast<int>(n));
  far_below([&] { inside = nullptr; });
  BOOST_TEST(collect_until([] { return counted::alive == 0; }));
}

BOOST_AUTO_TEST_CASE(empty_arrays) {
  gc::ptr<char[]> plain = gc::make_array<char>(0);
  gc::ptr<gc::ptr<witness>[]> pointers = gc::make_array<gc::ptr<witness>>(0);
  gc::ptr<counted[]> with_destructor = gc::make_array<counted>(0);
  gc::ptr<witness[]> next = gc::make_array<witness>(0);
  BOOST_TEST((plain && pointers && with_destructor && next));
  BOOST_TEST((gc::make_array<char>(0) != plain));
  for (int i = 0; i != 2; ++i) gc::collect();
  with_destructor = nullptr;
  for (int i = 0; i != 2; ++i) gc::collect();
  BOOST_TEST(counted::alive == 0);
}

/// The address behind the last element is no element: what it keeps does not matter, but nothing is harmed by it, and
/// the array is whole while one of its elements is known.
BOOST_AUTO_TEST_CASE(addresses_behind_the_end) {
  for (const std::size_t n : {std::size_t{2}, std::size_t{64}, std::size_t{1024}, std::size_t{5000}, mebi}) {
    gc::ptr<std::uint64_t> first, behind;
    far_below([&] {
      first = gc::make_array<std::uint64_t>(n, n).get();
      behind = first + n;
    });
    for (int i = 0; i != 2; ++i) {
      gc::collect();
      far_below([&] { gc::make_array<std::uint64_t>(n, 1); });
    }
    bool whole = true;
    for (const std::uint64_t* p = behind; p != first;) whole &= *--p == n;
    BOOST_TEST(whole);
    BOOST_TEST((gc::weak<std::uint64_t>(first).lock() == first));
    static_cast<void>(gc::weak<std::uint64_t>(behind).lock());
  }
}

#ifndef HEDDLE_FEW_TYPES
BOOST_AUTO_TEST_CASE(three_thousand_types) {
  static constexpr auto all = makers(std::make_index_sequence<3000>());
  std::array<any_numbered, all.size()> objects{};
  for (std::size_t i = 0; i != all.size(); ++i) {
    objects[i] = all[i](i);
    if (i % 1000 == 999) gc::collect();
  }
  for (int k = 0; k != 2; ++k) {
    gc::collect();
    far_below([] { make_list(7000); });
  }
  std::size_t whole = 0;
  for (std::size_t i = 0; i != all.size(); ++i) whole += objects[i].is_whole(objects[i].object, i);
  BOOST_TEST(whole == all.size());
}
#endif

/// What an exception leaves half made is garbage, and what it referred to as well.
BOOST_AUTO_TEST_CASE(constructors_that_throw) {
  struct half {
    explicit half(int n) : list(make_list(10)), whole(gc::make<counted>()) {
      if (n % 2 == 0) throw n;
    }
    ~half() { ++ended(); }
    static std::atomic<int>& ended() {
      static std::atomic<int> e{0};
      return e;
    }
    static void trace(gc::layout<half>& l) { l(&half::list, &half::whole); }
    gc::ptr<witness> list;
    gc::ptr<counted> whole;
  };
  int caught = 0;
  far_below([&] {
    for (int i = 0; i != 1000; ++i) try {
        gc::make<half>(i);
      } catch (int) {
        ++caught;
      }
  });
  BOOST_TEST(caught == 500);
  BOOST_TEST(collect_until([] { return half::ended() == 500 && counted::alive == 0; }));
  BOOST_TEST(half::ended() == 500);
}

BOOST_AUTO_TEST_SUITE_END()
