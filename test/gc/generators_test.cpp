// SPDX-License-Identifier: BSL-1.0
//
// Fibers that belong to objects: each suspended fiber is a root, and what it belongs to must die all the same.
#include <boost/test/unit_test.hpp>
#include <cstdint>

#include "dying.hpp"
#include "heddle/gc.hpp"
#include "heddle/heddle.hpp"

namespace {

namespace gc = heddle::gc;
using heddle::testing::collect_until;
using heddle::testing::counted;
using heddle::testing::far_below;

constexpr int many = 1'000;

/// Shared by the fiber and its owner.
struct line {
  heddle::channel<int> numbers;
};

/// What only the fiber has.
struct burden {
  counted one;
  char bytes[4096] = {};
};

/// Counts by a fiber of its own, which ends with it.
struct sequence {
  explicit sequence(const gc::ptr<line>& l) : to(l) {}
  ~sequence() {
    if (!to->numbers.closed()) to->numbers.close();
  }
  int next() const { return to->numbers.receive().value(); }

  gc::ptr<line> to;
};

void count(line& to, int first) {
  const gc::ptr<burden> own = gc::make<burden>();
  try {
    for (int i = first;; ++i) to.numbers.send(i + own->bytes[0]);
  } catch (const heddle::channel_closed&) {
  }
}

gc::ptr<sequence> count_from(int first) {
  const gc::ptr<line> l = gc::make<line>();
  heddle::go([l, first] { count(*l, first); });
  return gc::make<sequence>(l);
}

/// The same with a fiber that has its owner, too.
gc::ptr<sequence> count_for_an_owner(int first) {
  const gc::ptr<sequence> s = gc::make<sequence>(gc::make<line>());
  heddle::go([s, first] { count(*s->to, first); });
  return s;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(generators, heddle::testing::collected_check)

// Thousands of generators that nobody has taken to their end.
BOOST_AUTO_TEST_CASE(end_with_the_objects_that_own_them) {
  heddle::run([] {
    const std::uint64_t at_first = gc::statistics().live_bytes;
    for (int i = 0; i != many; ++i)
      far_below([i] {
        const gc::ptr<sequence> s = count_from(i);
        BOOST_TEST(s->next() == i);
        BOOST_TEST(s->next() == i + 1);
      });
    BOOST_TEST(collect_until([] { return counted::alive == 0; }));
    BOOST_TEST(
        collect_until([at_first] { return gc::statistics().live_bytes < at_first + many * sizeof(burden) / 10; }));
  });
}

// A cycle that leads through the stack of a suspended fiber is kept while the fiber is suspended, with all that it has.
BOOST_AUTO_TEST_CASE(that_have_their_owners_keep_them_until_they_end) {
  heddle::run([] {
    gc::vector<gc::weak<sequence>> all;
    for (int i = 0; i != many; ++i)
      far_below([&] {
        const gc::ptr<sequence> s = count_for_an_owner(i);
        all.push_back(s);
        BOOST_TEST(s->next() == i);
      });
    for (int i = 0; i != 3; ++i) gc::collect();
    BOOST_TEST(counted::alive == many);
    far_below([&] {
      for (std::size_t i = 0; i != all.size(); ++i) {
        const gc::ptr<sequence> s = all[i].lock();
        BOOST_TEST_REQUIRE((s != nullptr));
        BOOST_TEST(s->next() == static_cast<int>(i) + 1);
        s->to->numbers.close();
      }
    });
    BOOST_TEST(collect_until([] { return counted::alive == 0; }));
  });
}

BOOST_AUTO_TEST_SUITE_END()
