// SPDX-License-Identifier: BSL-1.0
#include "heddle/gc/counted.hpp"

#include <boost/test/unit_test.hpp>
#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "dying.hpp"
#include "heddle/gc.hpp"

namespace {

namespace gc = heddle::gc;
using life = heddle::testing::counted;

struct node {
  gc::counted<node> next;
  int value = 0;
};
static_assert(sizeof(gc::counted<node>) == sizeof(void*));
static_assert(std::is_nothrow_move_constructible_v<gc::counted<node>>);
static_assert(!std::is_convertible_v<gc::counted<void>, gc::counted<int>>);
static_assert(!std::is_convertible_v<gc::counted<const int>, gc::counted<int>>);

/// Its members end one by one.
struct named {
  gc::counted<named> next;
  std::string name;
  life alive;
};
/// Its destructor is somebody's.
class handmade {
 public:
  explicit handmade(gc::counted<handmade> next = nullptr) : next_(std::move(next)) {}
  ~handmade() { ++destroyed; }
  static void trace(gc::layout<handmade>& l) { l(&handmade::next_); }
  gc::counted<handmade>& next() { return next_; }
  static inline int destroyed = 0;

 private:
  gc::counted<handmade> next_;
  life alive_;
};
struct first_base {
  virtual ~first_base() = default;
  int one = 1;
};
struct second_base {
  virtual ~second_base() = default;
  int two = 2;
};
struct derived : first_base, second_base {
  int three = 3;
  life alive;
};
struct other : first_base {};
struct alignas(16) wide {
  double values[2] = {1, 2};
};
struct throws_when_asked {
  explicit throws_when_asked(bool does) {
    if (does) throw std::runtime_error("asked");
  }
  life alive;
};

template <class T>
bool is_aligned(const T* p, std::size_t to = alignof(T)) {
  return reinterpret_cast<std::uintptr_t>(p) % to == 0;
}

/// Asks for a pointer to itself when there is none.
struct session : gc::enable_counted_from_this<session> {
  bool constructor_refused = false;
  session() {
    try {
      counted_from_this();
    } catch (const std::bad_weak_ptr&) {
      constructor_refused = true;
    }
  }
  ~session() {
    try {
      counted_from_this();
    } catch (const std::bad_weak_ptr&) {
      ++refused_at_end;
    }
  }
  static inline int refused_at_end = 0;
};
struct offset : second_base, session {};

struct counted_check : heddle::testing::collected_check {
  ~counted_check() { gc::collect_cycles(); }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(counted, counted_check)

BOOST_AUTO_TEST_CASE(null) {
  const gc::counted<node> none;
  BOOST_TEST((!none && none == nullptr && none.get() == nullptr && none.use_count() == 0));
  gc::counted<node> copy = none;
  gc::counted<node>& same = copy;  // so that no compiler sees that it is itself
  copy = std::move(same);
  copy.reset();
  BOOST_TEST((copy == none));
}

BOOST_AUTO_TEST_CASE(the_object_dies_with_its_last_pointer) {
  gc::counted<life> a = gc::make_counted<life>();
  BOOST_TEST((life::alive == 1 && a.use_count() == 1));
  {
    const gc::counted<life> b = a;
    BOOST_TEST((a == b && a.use_count() == 2 && b.use_count() == 2));
    a = nullptr;
    BOOST_TEST((life::alive == 1 && b.use_count() == 1));
  }
  BOOST_TEST(life::alive == 0);
}

BOOST_AUTO_TEST_CASE(moves_count_nothing) {
  gc::counted<life> a = gc::make_counted<life>();
  life* const at = a.get();
  gc::counted<life> b = std::move(a);
  BOOST_TEST((a == nullptr && b.get() == at && b.use_count() == 1));
  gc::counted<life> c = gc::make_counted<life>();
  c = std::move(b);
  BOOST_TEST((b == nullptr && c.get() == at && c.use_count() == 1 && life::alive == 1));
  gc::counted<life>& same = c;
  c = std::move(same);
  c = same;
  BOOST_TEST((c.get() == at && c.use_count() == 1));
}

BOOST_AUTO_TEST_CASE(assigned_swapped_reset) {
  gc::counted<node> a = gc::make_counted<node>(nullptr, 1), b = gc::make_counted<node>(nullptr, 2);
  swap(a, b);
  BOOST_TEST((a->value == 2 && b->value == 1));
  a.swap(b);
  BOOST_TEST((a->value == 1 && (*b).value == 2));
  a = b;
  BOOST_TEST((a == b && a.use_count() == 2));
  b.reset();
  BOOST_TEST((b == nullptr && a.use_count() == 1));
}

BOOST_AUTO_TEST_CASE(the_arguments_reach_the_constructor) {
  const auto text = gc::make_counted<std::string>(3, 'x');
  BOOST_TEST(*text == "xxx");
  auto moved = std::make_unique<int>(7);
  const auto holder = gc::make_counted<std::unique_ptr<int>>(std::move(moved));
  BOOST_TEST((moved == nullptr && **holder == 7));
}

BOOST_AUTO_TEST_CASE(a_constructor_that_throws_leaves_nothing) {
  const std::uint64_t then = gc::counted_statistics().heap_bytes;
  for (int i = 0; i < 10'000; ++i) BOOST_CHECK_THROW(gc::make_counted<throws_when_asked>(true), std::runtime_error);
  BOOST_TEST(life::alive == 0);
  BOOST_TEST(gc::counted_statistics().heap_bytes <= then + 65'536);
  BOOST_TEST((gc::make_counted<throws_when_asked>(false) != nullptr));
}

BOOST_AUTO_TEST_CASE(objects_of_all_sizes_keep_their_contents) {
  std::vector<gc::counted<char[]>> arrays;
  for (std::size_t n = 0; n < 3'000; n = n < 70 ? n + 1 : n * 5 / 4)
    for (int twice = 0; twice < 2; ++twice) {
      arrays.push_back(gc::make_counted<char[]>(n, static_cast<char>(n)));
      BOOST_REQUIRE(is_aligned(arrays.back().get(), 8));
    }
  for (std::size_t n : {20'000u, 32'760u, 32'761u, 32'768u, 100'000u, 3'000'000u})
    arrays.push_back(gc::make_counted<char[]>(n, static_cast<char>(n)));
  std::size_t i = 0;
  for (std::size_t n = 0; n < 3'000; n = n < 70 ? n + 1 : n * 5 / 4)
    for (int twice = 0; twice < 2; ++twice, ++i)
      for (std::size_t k = 0; k != n; ++k) BOOST_REQUIRE(arrays[i][k] == static_cast<char>(n));
  for (std::size_t n : {20'000u, 32'760u, 32'761u, 32'768u, 100'000u, 3'000'000u}) {
    BOOST_REQUIRE((arrays[i][0] == static_cast<char>(n) && arrays[i][n - 1] == static_cast<char>(n)));
    ++i;
  }
}

BOOST_AUTO_TEST_CASE(alignment) {
  std::vector<gc::counted<wide>> all;
  for (int i = 0; i < 1'000; ++i) all.push_back(gc::make_counted<wide>());
  for (const auto& w : all) BOOST_REQUIRE((is_aligned(w.get()) && w->values[1] == 2));
  const auto array = gc::make_counted<wide[]>(5);
  BOOST_TEST((is_aligned(&array[0]) && array[4].values[0] == 1));
}

BOOST_AUTO_TEST_CASE(memory_is_used_again) {
  const auto once = [] {
    std::vector<gc::counted<node>> all;
    for (int i = 0; i < 50'000; ++i) all.push_back(gc::make_counted<node>(nullptr, i));
    for (int i = 0; i < 50'000; ++i) BOOST_REQUIRE(all[static_cast<std::size_t>(i)]->value == i);
  };
  once();
  const std::uint64_t few = gc::counted_statistics().heap_bytes;
  BOOST_TEST(few < 50'000u * 24);  // most spans have been given back
  for (int i = 0; i < 10; ++i) once();
  BOOST_TEST(gc::counted_statistics().heap_bytes <= few + 65'536);
}

/// Two spans without an object stay with the thread, and the one that it takes blocks of.
BOOST_AUTO_TEST_CASE(few_empty_spans_are_kept) {
  struct kept {
    gc::counted<kept> next;
    char rest[48] = {};
  };
  constexpr std::size_t span_bytes = 16'384;
  const auto in_spans = [] {
    for (const gc::type_values& t : gc::heap_by_type())
      if (t.type.find("kept (counted)") != std::string::npos) return t.span_bytes;
    return std::uint64_t{0};
  };
  for (int round = 0; round != 4; ++round) {
    std::vector<gc::counted<kept>> all;
    for (int i = 0; i != 5'000; ++i) all.push_back(gc::make_counted<kept>());
    BOOST_TEST(in_spans() > 10 * span_bytes);
    all.clear();
    BOOST_TEST(in_spans() == 3 * span_bytes);
  }
}

BOOST_AUTO_TEST_CASE(long_chains_end_without_recursion) {
  constexpr int many = 500'000;
  gc::counted<node> plain;
  for (int i = 0; i < many; ++i) plain = gc::make_counted<node>(std::move(plain), i);
  BOOST_TEST(plain->value == many - 1);
  plain = nullptr;
  gc::counted<named> members;
  for (int i = 0; i < many; ++i) members = gc::make_counted<named>(std::move(members), std::string(30, 'x'));
  BOOST_TEST(life::alive == many);
  members = nullptr;
  BOOST_TEST(life::alive == 0);
  handmade::destroyed = 0;
  gc::counted<handmade> by_hand;
  for (int i = 0; i < many; ++i) by_hand = gc::make_counted<handmade>(std::move(by_hand));
  by_hand = nullptr;
  BOOST_TEST((handmade::destroyed == many && life::alive == 0));
}

BOOST_AUTO_TEST_CASE(a_container_of_pointers_inside_of_an_object) {
  struct branch {
    std::vector<gc::counted<branch>> children;
    life alive;
  };
  gc::counted<branch> root = gc::make_counted<branch>();
  for (int i = 0; i < 100'000; ++i) {
    auto above = gc::make_counted<branch>();
    above->children.push_back(std::move(root));
    root = std::move(above);
  }
  BOOST_TEST(life::alive == 100'001);
  root = nullptr;
  BOOST_TEST(life::alive == 0);
}

BOOST_AUTO_TEST_CASE(to_bases_and_back) {
  const gc::counted<derived> d = gc::make_counted<derived>();
  gc::counted<second_base> second = d;
  const gc::counted<const first_base> first = d;
  const gc::counted<void> anything = second;
  BOOST_TEST((second->two == 2 && first->one == 1 && d.use_count() == 4));
  BOOST_TEST((static_cast<void*>(second.get()) != d.get() && second.get() == static_cast<second_base*>(d.get())));
  BOOST_TEST((anything.get() == second.get() && second == d));
  const auto back = gc::static_pointer_cast<derived>(second);
  BOOST_TEST((back == d && back->three == 3));
  BOOST_TEST((gc::dynamic_pointer_cast<derived>(second) == d));
  BOOST_TEST((gc::dynamic_pointer_cast<other>(second) == nullptr));
  BOOST_TEST((gc::const_pointer_cast<first_base>(first) == first));
  BOOST_TEST((gc::static_pointer_cast<derived>(gc::counted<first_base>()) == nullptr));
  const gc::counted<first_base> across = gc::dynamic_pointer_cast<first_base>(second);
  BOOST_TEST((across == d && d.use_count() == 6));
}

BOOST_AUTO_TEST_CASE(a_base_keeps_the_whole_object) {
  gc::counted<second_base> second = gc::make_counted<derived>();
  BOOST_TEST((life::alive == 1 && second.use_count() == 1 && second->two == 2));
  gc::counted<second_base> assigned;
  assigned = gc::make_counted<derived>();
  second = std::move(assigned);
  BOOST_TEST(life::alive == 1);
  second = nullptr;
  BOOST_TEST(life::alive == 0);
}

BOOST_AUTO_TEST_CASE(aliases) {
  gc::counted<named> whole = gc::make_counted<named>(nullptr, "inside");
  gc::counted<std::string> part(whole, &whole->name);
  BOOST_TEST(whole.use_count() == 2);
  whole = nullptr;
  BOOST_TEST((*part == "inside" && life::alive == 1));
  const gc::counted<char> letter(part, &(*part)[3]);  // the string is short: its letters are in the object
  BOOST_TEST((*letter == 'i' && part.use_count() == 2));
  BOOST_TEST((gc::counted<char>(part, nullptr) == nullptr));
}

/// The members that trace() declares are known when the first object is made.
class declares_traced {
 public:
  static void trace(gc::layout<declares_traced>& l) { l(&declares_traced::member_); }

 private:
  gc::ptr<int> member_;
};
class declares_counted {
 public:
  static void trace(gc::layout<declares_counted>& l) { l(&declares_counted::member_); }

 private:
  gc::counted<int> member_;
};
struct has_traced_within {
  int before = 0;
  declares_traced part;
};
struct has_counted_within {
  int before = 0;
  declares_counted part;
};

BOOST_AUTO_TEST_CASE(declared_members_of_the_other_family_are_refused) {
  const auto names = [](const char* what, const char* type) {
    return [=](const std::invalid_argument& e) {
      const std::string text = e.what();
      return text.find(what) != std::string::npos && text.find(type) != std::string::npos;
    };
  };
  for (int i = 0; i != 2; ++i) {
    BOOST_CHECK_EXCEPTION(gc::make_counted<declares_traced>(), std::invalid_argument,
                          names("gc::ptr as a member", "declares_traced"));
    BOOST_CHECK_EXCEPTION(gc::make_counted<has_traced_within[]>(2), std::invalid_argument,
                          names("gc::ptr as a member", "has_traced_within"));
    BOOST_CHECK_EXCEPTION(gc::make<declares_counted>(), std::invalid_argument,
                          names("gc::counted as a member", "declares_counted"));
    BOOST_CHECK_EXCEPTION(gc::make_array<has_counted_within>(2), std::invalid_argument,
                          names("gc::counted as a member", "has_counted_within"));
  }
  BOOST_TEST((gc::make_counted<declares_counted>() != nullptr && gc::make<declares_traced>() != nullptr));
}

BOOST_AUTO_TEST_CASE(aliases_to_elsewhere_are_refused) {
  const gc::counted<node> n = gc::make_counted<node>();
  int outside = 0;
  BOOST_CHECK_THROW(gc::counted<int>(n, &outside), std::invalid_argument);
  BOOST_CHECK_THROW(gc::counted<node>(n, n.get() - 1), std::invalid_argument);
  BOOST_CHECK_THROW(gc::counted<node>(n, n.get() + 1), std::invalid_argument);
  BOOST_CHECK_THROW(gc::counted<int>(gc::counted<node>(), &outside), std::invalid_argument);
  BOOST_TEST(n.use_count() == 1);
  const gc::counted<char[]> far = gc::make_counted<char[]>(100'000);
  BOOST_TEST(gc::counted<char>(far, &far[65'527]).get() == &far[65'527]);
  const auto says_the_limit = [](const std::invalid_argument& e) {
    return std::string(e.what()).find("65527 bytes") != std::string::npos;
  };
  BOOST_CHECK_EXCEPTION(gc::counted<char>(far, &far[65'528]), std::invalid_argument, says_the_limit);
  BOOST_TEST(far.use_count() == 1);
}

BOOST_AUTO_TEST_CASE(arrays) {
  const auto numbers = gc::make_counted<long[]>(1'000);
  for (int i = 0; i < 1'000; ++i) BOOST_REQUIRE(numbers[i] == 0);
  gc::make_counted<life[]>(0);
  gc::counted<life[]> objects = gc::make_counted<life[]>(77);
  BOOST_TEST(life::alive == 77);
  const gc::counted<life> one(objects, &objects[5]);
  objects = nullptr;
  BOOST_TEST(life::alive == 77);
}

BOOST_AUTO_TEST_CASE(arrays_end_from_the_last_element) {
  static std::vector<int> order;
  struct noted {
    int number = 0;
    ~noted() { order.push_back(number); }
  };
  order.clear();
  {
    const auto all = gc::make_counted<noted[]>(4);
    for (int i = 0; i < 4; ++i) all[i].number = i;
  }
  BOOST_TEST((order == std::vector<int>{3, 2, 1, 0}));
  order = {};
  BOOST_CHECK_THROW(gc::make_counted<long[]>(std::size_t{1} << 60), std::bad_array_new_length);
}

BOOST_AUTO_TEST_CASE(arrays_of_pointers) {
  const gc::counted<node> n = gc::make_counted<node>();
  for (std::size_t length : {1u, 3u, 1'000u, 10'000u}) {
    auto all = gc::make_counted<gc::counted<node>[]>(length, n);
    BOOST_TEST(n.use_count() == static_cast<long>(length) + 1);
    all[0] = nullptr;
    all = nullptr;
    BOOST_TEST(n.use_count() == 1);
  }
}

BOOST_AUTO_TEST_CASE(a_finisher_runs_before_the_destructor) {
  std::string heard;
  {
    gc::counted<named> n = gc::make_counted_finished<named>([&](named& x) { heard = x.name; }, nullptr, "finished");
    const gc::counted<named> copy = n;
    n = nullptr;
    BOOST_TEST((heard.empty() && copy->name == "finished"));
  }
  BOOST_TEST((heard == "finished" && life::alive == 0));
  int closed = 0;
  {
    const auto fd = gc::make_counted_finished<int>([&](int which) { closed = which; }, 17);
  }
  BOOST_TEST(closed == 17);
}

BOOST_AUTO_TEST_CASE(from_this) {
  session::refused_at_end = 0;
  {
    const auto s = gc::make_counted<session>();
    BOOST_TEST((s->constructor_refused && s->counted_from_this() == s));
    BOOST_TEST(s.use_count() == 1);
    const gc::counted<const session> c = std::as_const(*s).counted_from_this();
    BOOST_TEST((c == s && s->weak_from_this().lock() == s));
    const auto o = gc::make_counted<offset>();
    BOOST_TEST(o->counted_from_this().get() == o.get());
    BOOST_TEST(o.use_count() == 1);
  }
  BOOST_TEST(session::refused_at_end == 2);
  session on_stack;
  BOOST_CHECK_THROW(on_stack.counted_from_this(), std::bad_weak_ptr);
  const auto by_new = std::make_unique<session>();
  BOOST_CHECK_THROW(by_new->weak_from_this(), std::bad_weak_ptr);
}

BOOST_AUTO_TEST_CASE(compared_and_hashed_by_address) {
  const gc::counted<node> a = gc::make_counted<node>(), b = gc::make_counted<node>();
  const gc::counted<const node> same = a;
  BOOST_TEST((a != b && a == same && a == a.get() && (a < b) != (b < a) && (a <=> same) == 0));
  BOOST_TEST((std::hash<gc::counted<node>>()(a) == std::hash<gc::counted<const node>>()(same)));
  std::map<gc::counted<node>, int> numbers;
  numbers[a] = 1;
  numbers[b] = 2;
  numbers[a] = 3;
  BOOST_TEST((numbers.size() == 2 && numbers[a] == 3));
}

BOOST_AUTO_TEST_CASE(more_references_than_a_local_count_holds) {
  const gc::counted<node> n = gc::make_counted<node>(nullptr, 5);
  {
    const auto all = gc::make_counted<gc::counted<node>[]>(600'000, n);
    BOOST_TEST(n.use_count() == 600'001);
  }
  BOOST_TEST((n.use_count() == 1 && n->value == 5));
}

BOOST_AUTO_TEST_CASE(a_gc_ptr_to_a_counted_object_keeps_nothing) {
  gc::counted<life> c = gc::make_counted<life>();
  struct observer {
    gc::ptr<life> seen;
  };
  const gc::ptr<observer> o = gc::make<observer>(c.get());
  gc::collect();
  BOOST_TEST((life::alive == 1 && o->seen == c.get()));
  o->seen = nullptr;
  c = nullptr;
  BOOST_TEST(life::alive == 0);
}

BOOST_AUTO_TEST_CASE(a_root_in_a_counted_object_keeps_a_collected_one) {
  gc::counted<gc::root<int>> holder = gc::make_counted<gc::root<int>>(gc::make<int>(5));
  gc::collect();
  BOOST_TEST(**holder == 5);
}

BOOST_AUTO_TEST_SUITE_END()
