// SPDX-License-Identifier: BSL-1.0
#include "heddle/gc/layout.hpp"

#include <array>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "heddle/gc.hpp"

namespace {

namespace gc = heddle::gc;
using gc::detail::found_by_compiler;
using gc::detail::handle_of;
using gc::detail::scanning;
using offsets = std::vector<std::uint32_t>;

template <class T>
offsets slots() {
  const gc::detail::type_description& d = *handle_of<T>().description;
  BOOST_TEST((d.how == scanning::precise));
  return {d.slots, d.slots + d.slot_count};
}
/// As the compiler finds it.
template <class T>
constexpr scanning how = gc::detail::constant_description<T>::description.how;

// A type that points to itself, and to one that is nowhere complete.
struct unknown;
struct node {
  gc::ptr<node> next;
  int value = 0;
  gc::ptr<unknown> other;
};
static_assert(sizeof(gc::ptr<node>) == sizeof(void*) && sizeof(node) == 24);
constinit gc::ptr<node> global;
[[maybe_unused]] constinit gc::ptr<const node[]> global_array = nullptr;

struct inner {
  char tag = 0;
  gc::ptr<const node> to;
};
struct nested {
  int number = 0;
  inner one;
  gc::ptr<void> any;
  inner two;
};
struct arrays {
  char name[13] = {};
  gc::ptr<node> fixed[2];
  std::array<inner, 2> std_array;
  gc::ptr<node> matrix[2][2];
  std::pair<int, gc::ptr<node>> entry;
};
struct others {
  node* raw = nullptr;
  void (*function)() = nullptr;
  int node::*member = nullptr;
  std::atomic<node*> shared{nullptr};
  const gc::ptr<node> constant;
  double number = 0;
};
struct modules {
  gc::vector<int> v;
  gc::hash_map<int, int> m;
  gc::string s;
  gc::weak<node> w;
  gc::atomic<gc::ptr<node>> a;
  gc::ephemeron_map<node, node> e;
};

// Nothing in them.
enum class colour : std::uint64_t { red };
struct numbers {
  long a[4] = {};
  colour c = colour::red;
  std::array<char, 100> text{};
  std::chrono::nanoseconds time{};
  std::optional<double> maybe;
  std::variant<int, long> either;
  std::tuple<int, long> both;
};
struct owning {
  std::string name;
  std::vector<std::string> lines;
  std::vector<int> numbers;
  std::unique_ptr<int> mine;
  std::shared_ptr<node> shared;
  gc::root<node> root;
};
struct alignas(16) wide {
  long double number = 0;
};
struct moved_apart {  // alignas moves nothing here that could be an address
  char a = 0;
  alignas(16) char b = 0;
};

// Word by word.
union either {
  node* to;
  std::uint64_t number;
};
struct with_union {
  gc::ptr<node> next;
  either what;
};
struct with_variant {
  std::variant<int, gc::ptr<node>> v;
};
struct derived : node {
  gc::ptr<node> more;
};
class closed {
 public:
  closed() = default;
  gc::ptr<node> mine() const { return mine_; }

 private:
  gc::ptr<node> mine_;
};
struct holds_closed {
  int number = 0;
  closed c;
};
struct over_aligned_member {
  gc::ptr<node> a;
  alignas(16) gc::ptr<node> b;
  gc::ptr<node> c;
};
struct moved_by_alignas {
  gc::ptr<node> a;
  char b = 0;
  alignas(8) char c = 0;
  char d = 0;
  gc::ptr<node> e;
};
struct made_up_for_behind {  // the size is as if nothing had been moved
  gc::ptr<node> a;
  char b = 0;
  alignas(8) char c = 0;
  gc::ptr<node> d;
  long double e = 0;
};
static_assert(offsetof(made_up_for_behind, d) == 24 && sizeof(made_up_for_behind) == 48);
struct with_reference_and_default {
  int number;
  std::reference_wrapper<int> r = std::ref(number);
  gc::ptr<node> p;
};
struct many {
  int a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x;
  gc::ptr<node> the_25th;
};
struct with_function {
  std::function<void()> f;
};
struct with_raw_pointers {
  std::vector<node*> elements;  // std's are elsewhere, but other containers have room for some of their own
};
struct huge {
  gc::ptr<node> slots[100'000];
};

static_assert(how<numbers> == scanning::none && how<owning> == scanning::none && how<int> == scanning::none);
static_assert(how<wide> == scanning::none && how<moved_apart> == scanning::none);
static_assert(how<gc::ptr<node>> == scanning::precise && how<node*> == scanning::precise);
static_assert(how<void (*)(int)> == scanning::none && how<int node::*> == scanning::none);
static_assert(how<either> == scanning::conservative && how<with_union> == scanning::conservative);
static_assert(how<with_variant> == scanning::conservative && how<derived> == scanning::conservative);
static_assert(how<closed> == scanning::conservative && how<holds_closed> == scanning::conservative);
static_assert(how<over_aligned_member> == scanning::conservative && how<moved_by_alignas> == scanning::conservative);
static_assert(how<with_reference_and_default> == scanning::conservative && how<many> == scanning::conservative);
static_assert(how<with_function> == scanning::conservative && how<with_raw_pointers> == scanning::conservative);
static_assert(how<std::optional<gc::ptr<node>>> == scanning::conservative);
static_assert(how<huge> == scanning::conservative && how<made_up_for_behind> == scanning::conservative);
static_assert(how<std::mutex> == scanning::conservative);  // nobody has said that it holds no address

// Declared.
class base {
 public:
  static void trace(gc::layout<base>& l) { l(&base::kept_); }

 private:
  [[maybe_unused]] long number_ = 0;
  gc::ptr<node> kept_;
  [[maybe_unused]] std::uintptr_t not_an_address_ = 0;
};
class member_of_two : public node, public base {
 public:
  static void trace(gc::layout<member_of_two>& l) {
    l(&member_of_two::in_, &member_of_two::array_).base<base>().base<node>();
  }

 private:
  inner in_;
  gc::ptr<node> array_[2];
};
class inherits_trace : public base {
  [[maybe_unused]] gc::ptr<node> not_declared_;
};
struct holds_declared {
  int number = 0;
  base b;
  std::array<base, 2> more;
};
class says_everything {
 public:
  static void trace(gc::layout<says_everything>& l) { l.everything(); }

 private:
  [[maybe_unused]] gc::ptr<node> p_;
};
struct foreign {
  explicit foreign(int) {}
  int number = 0;
  gc::ptr<node> p;
};
struct foreign_number {
  explicit foreign_number(int) {}
  std::uint64_t number = 0;
};
static_assert(!found_by_compiler<base> && !found_by_compiler<holds_declared>);
static_assert(how<inherits_trace> == scanning::conservative);  // the base's trace() is not its own

}  // namespace

template <>
struct heddle::gc::trace<foreign> {
  static void members(gc::layout<foreign>& l) { l(&foreign::p); }
};
template <>
struct heddle::gc::trace<foreign_number> {
  static constexpr bool noscan = true;
};

namespace {

static_assert(how<foreign_number> == scanning::none && !found_by_compiler<foreign>);

// Destructors.
struct logs {
  gc::ptr<node> p;
  ~logs() { global = p; }
};
struct holds_logs {
  logs l[2];
};
class private_member {
  [[maybe_unused]] gc::ptr<node> p_;
};
class said_to_be_silent {
  [[maybe_unused]] gc::ptr<node> p_;
};

}  // namespace

template <>
inline constexpr bool heddle::gc::needs_destructor<said_to_be_silent> = false;

namespace {

struct holds_silent {
  said_to_be_silent s;
};
static_assert(!gc::needs_destructor<node> && !gc::needs_destructor<nested> && !gc::needs_destructor<arrays>);
static_assert(!gc::needs_destructor<modules> && !gc::needs_destructor<numbers> && !gc::needs_destructor<int>);
static_assert(!gc::needs_destructor<std::optional<gc::ptr<node>>> && !gc::needs_destructor<with_variant>);
static_assert(gc::needs_destructor<logs> && gc::needs_destructor<holds_logs> && gc::needs_destructor<owning>);
static_assert(gc::needs_destructor<private_member> && gc::needs_destructor<std::string>);
static_assert(gc::needs_destructor<std::optional<std::string>> && gc::needs_destructor<gc::root<node>>);
static_assert(!gc::needs_destructor<said_to_be_silent> && !gc::needs_destructor<holds_silent>);

}  // namespace

BOOST_AUTO_TEST_SUITE(layout)

BOOST_AUTO_TEST_CASE(aggregates_are_taken_apart) {
  BOOST_TEST(slots<node>() == (offsets{0, 16}));
  BOOST_TEST(slots<nested>() == (offsets{16, 24, 40}));
  BOOST_TEST(offsetof(nested, one) == 8u);
  BOOST_TEST(offsetof(nested, two) == 32u);
  BOOST_TEST(slots<arrays>() == (offsets{16, 24, 40, 56, 64, 72, 80, 88, 104}));
  BOOST_TEST(offsetof(arrays, std_array) == 32u);
  BOOST_TEST(offsetof(arrays, entry) == 96u);
}

BOOST_AUTO_TEST_CASE(plain_pointers_and_constants_are_slots) {
  BOOST_TEST(slots<others>() ==
             (offsets{0, offsetof(others, shared), static_cast<std::uint32_t>(offsetof(others, constant))}));
}

BOOST_AUTO_TEST_CASE(what_the_module_has_is_a_slot_each) {
  BOOST_TEST(slots<modules>() == (offsets{offsetof(modules, v), offsetof(modules, m), offsetof(modules, s),
                                          offsetof(modules, w), offsetof(modules, a), offsetof(modules, e)}));
}

BOOST_AUTO_TEST_CASE(trace_declares_private_members_and_bases) {
  BOOST_TEST(slots<base>() == (offsets{8}));
  // node: 0, 16; base at 24: 32; in_ at 48: 56; array_: 64, 72
  BOOST_TEST(slots<member_of_two>() == (offsets{0, 16, 32, 56, 64, 72}));
  BOOST_TEST(sizeof(member_of_two) == 80u);
}

BOOST_AUTO_TEST_CASE(members_that_declare_are_asked_within_others) {
  BOOST_TEST(slots<holds_declared>() == (offsets{16, 40, 64}));
}

BOOST_AUTO_TEST_CASE(trace_may_be_outside_or_say_everything) {
  BOOST_TEST(slots<foreign>() == (offsets{8}));
  BOOST_TEST((handle_of<says_everything>().description->how == scanning::conservative));
  BOOST_TEST(handle_of<says_everything>().description->slot_count == 0u);
}

BOOST_AUTO_TEST_CASE(a_description_says_all_there_is) {
  const gc::detail::type_description& d = *handle_of<holds_logs>().description;
  BOOST_TEST(d.size == sizeof(holds_logs));
  BOOST_TEST(d.alignment == alignof(holds_logs));
  BOOST_TEST(std::string_view(d.name).ends_with("holds_logs"));
  BOOST_TEST((d.destroy != nullptr));
  BOOST_TEST((handle_of<node>().description->destroy == nullptr));
  BOOST_TEST((&handle_of<base>() == &handle_of<base>()));
  using map_of_pairs = std::map<std::string, std::pair<int, long>>;
  BOOST_TEST(std::string_view(handle_of<map_of_pairs>().description->name).starts_with("std::map<"));
}

BOOST_AUTO_TEST_SUITE_END()
