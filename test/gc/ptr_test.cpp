// SPDX-License-Identifier: BSL-1.0
#include "heddle/gc/ptr.hpp"

#include <boost/test/unit_test.hpp>
#include <compare>
#include <functional>
#include <type_traits>
#include <utility>

#include "dying.hpp"
#include "heddle/gc.hpp"

namespace {

namespace gc = heddle::gc;
using heddle::testing::collect_until;
using heddle::testing::far_below;
using heddle::testing::has_died;
using heddle::testing::holds;

struct first_base {
  virtual ~first_base() = default;
  long a = 1;
};
struct second_base {
  virtual ~second_base() = default;
  long b = 2;
};
struct both : first_base, second_base {
  long c = 3;
};
struct node {
  gc::ptr<node> next;
  int value = 0;
};
constinit gc::ptr<node> global;

static_assert(std::is_convertible_v<gc::ptr<both>, gc::ptr<second_base>>);
static_assert(!std::is_convertible_v<gc::ptr<second_base>, gc::ptr<both>>);
static_assert(std::is_convertible_v<gc::ptr<node>, gc::ptr<const node>>);
static_assert(!std::is_convertible_v<gc::ptr<const node>, gc::ptr<node>>);
static_assert(std::is_convertible_v<gc::ptr<node>, gc::ptr<void>>);
static_assert(!std::is_convertible_v<gc::ptr<node>, gc::ptr<node[]>>);
static_assert(std::is_convertible_v<gc::ptr<node[]>, gc::ptr<const node[]>>);
static_assert(!std::is_convertible_v<gc::ptr<both[]>, gc::ptr<first_base[]>>);
static_assert(std::is_convertible_v<gc::ptr<node>, node*> && std::is_convertible_v<node*, gc::ptr<node>>);
static_assert(std::is_nothrow_move_constructible_v<gc::ptr<node>> && std::is_nothrow_swappable_v<gc::ptr<node>>);

}  // namespace

BOOST_FIXTURE_TEST_SUITE(ptr, heddle::testing::collected_check)

BOOST_AUTO_TEST_CASE(null_compares_and_converts) {
  const gc::ptr<node> none;
  BOOST_TEST(!none);
  BOOST_TEST((none == nullptr && nullptr == none && none.get() == nullptr));
  gc::ptr<node> some = gc::make<node>(nullptr, 7);
  BOOST_TEST((some && some != nullptr && some != none && none < some));
  BOOST_TEST(some->value == 7);
  BOOST_TEST((*some).value == 7);
  some = nullptr;
  BOOST_TEST((some == none));
}

BOOST_AUTO_TEST_CASE(a_slot_is_the_address_as_it_is) {
  const gc::ptr<node> p = gc::make<node>();
  node* raw = p;
  BOOST_TEST(*reinterpret_cast<node* const*>(&p) == raw);
  BOOST_TEST((p == raw && raw == p));
  const gc::ptr<node> again = raw;
  BOOST_TEST((again == p && (again <=> p) == std::strong_ordering::equal));
}

BOOST_AUTO_TEST_CASE(moving_leaves_null_and_a_move_to_itself_nothing) {
  gc::ptr<node> a = gc::make<node>(nullptr, 1);
  node* const raw = a;
  gc::ptr<node> b = std::move(a);
  BOOST_TEST((a == nullptr && b == raw));
  a = std::move(b);
  BOOST_TEST((b == nullptr && a == raw));
  gc::ptr<node>& itself = a;
  a = std::move(itself);
  BOOST_TEST((a == raw));
  a = itself;
  BOOST_TEST((a == raw));
  using std::swap;
  swap(a, b);
  BOOST_TEST((a == nullptr && b == raw));
  std::ranges::swap(a, b);
  BOOST_TEST((b == nullptr && a == raw));
}

BOOST_AUTO_TEST_CASE(casts_move_the_address_as_those_of_the_language) {
  const gc::ptr<both> whole = gc::make<both>();
  const gc::ptr<second_base> second = whole;
  BOOST_TEST(second->b == 2);
  BOOST_TEST((static_cast<void*>(second.get()) != static_cast<void*>(whole.get())));
  BOOST_TEST((gc::static_pointer_cast<both>(second) == whole));
  BOOST_TEST((gc::dynamic_pointer_cast<first_base>(second) == whole));
  BOOST_TEST((dynamic_pointer_cast<node>(second) == nullptr));
  const gc::ptr<const both> constant = whole;
  BOOST_TEST((gc::const_pointer_cast<both>(constant) == whole));
  const gc::ptr<void> any = whole;
  BOOST_TEST((gc::static_pointer_cast<both>(any)->c == 3));
  BOOST_TEST((gc::reinterpret_pointer_cast<char>(any).get() == reinterpret_cast<char*>(whole.get())));
}

BOOST_AUTO_TEST_CASE(hashes_and_orders_by_address) {
  const gc::ptr<node> a = gc::make<node>(), b = gc::make<node>();
  BOOST_TEST(std::hash<gc::ptr<node>>()(a) == std::hash<gc::ptr<node>>()(gc::ptr<node>(a.get())));
  BOOST_TEST((a < b) == std::less<>()(a.get(), b.get()));
  BOOST_TEST((a < b) != (b < a));
}

BOOST_AUTO_TEST_CASE(an_address_inside_keeps_the_whole) {
  gc::ptr<int> inside;
  gc::weak<node> whole;
  far_below([&] {
    const gc::ptr<node> n = gc::make<node>(gc::make<node>(nullptr, 5), 4);
    inside = &n->value;
    whole = n;
  });
  gc::collect();
  const gc::ptr<node> n = whole.lock();
  BOOST_REQUIRE((n != nullptr));
  BOOST_TEST(*inside == 4);
  BOOST_TEST(n->next->value == 5);
}

BOOST_AUTO_TEST_CASE(globals_and_cycles) {
  gc::weak<node> kept, cycle;
  far_below([&] {
    global = gc::make<node>(nullptr, 1);
    global->next = gc::make<node>(global, 2);
    kept = global->next;
    const gc::ptr<node> a = gc::make<node>();
    a->next = gc::make<node>(a);
    cycle = a;
  });
  BOOST_TEST(collect_until([&] { return has_died(cycle); }));
  BOOST_TEST(!has_died(kept));
  BOOST_TEST(holds([] { return global->next->next == global; }));
  global = nullptr;
  BOOST_TEST(collect_until([&] { return has_died(kept); }));
}

BOOST_AUTO_TEST_CASE(a_list_of_a_million_is_built_and_dies) {
  constexpr int length = 1'000'000;
  gc::weak<node> last;
  far_below([&] {
    gc::ptr<node> list = gc::make<node>();
    last = list;
    for (int i = 1; i < length; ++i) list = gc::make<node>(list, i);
    long sum = 0;
    for (const node* n = list; n != nullptr; n = n->next) sum += n->value;
    BOOST_TEST(sum == long{length} * (length - 1) / 2);
  });
  BOOST_TEST(collect_until([&] { return has_died(last); }));
}

BOOST_AUTO_TEST_SUITE_END()
