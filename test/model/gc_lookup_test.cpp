// SPDX-License-Identifier: BSL-1.0
//
// The way from an address to its bits (gc/src/heap/region.hpp), while threads make spans where others have been. A word
// that only looks like an address leads into them. The collector sweeps all of the last cycle before it marks, so no
// span is swept, taken back or made anew between its look-up and its look at the bits.
#include <array>
#include <cstdlib>

#include "barrier/mutators.hpp"
#include "collected_roots.hpp"
#include "collected_threads.hpp"
#include "cycle/collector.hpp"
#include "pace/options.hpp"

namespace {

using namespace collected;

/// A span of the first type was there: words into its first three blocks stay.
std::array<const void*, 3> leave_stale_words() {
  std::array<const void*, 3> left{};
  for (const void*& word : left) word = mine().objects[0] = make();
  mine().objects = {};
  return left;
}

/// Objects of that type, one behind the other: they need a span that must be swept first, then a new one.
void grow() {
  stack& s = mine();
  for (int i = 0; i != 5; ++i) {
    s.objects[1] = make();
    gd::store(&use(s.objects[1])->a, s.objects[0]);
    s.objects[0] = s.objects[1];
    s.objects[1] = nullptr;
  }
  for (; s.objects[0] != nullptr; s.objects[0] = gd::load(&use(s.objects[0])->a)) {
  }
}

/// Of the other type: a span of them may lie where the first type's was.
void grow_wide() {
  stack& s = mine();
  for (int i = 0; i != 4; ++i) {
    s.objects[i % 2] = make_wide();
    gd::store(&use(s.objects[i % 2])->a, s.objects[(i + 1) % 2]);
  }
  for (void* o : s.objects)
    if (o != nullptr) use(o);
}

/// An object that lives throughout, among those that have died.
void keep_one() {
  gd::store(&globals[0], mine().objects[0] = make());
  mine() = {};
}

/// Two threads make objects of two types, and stale words lead to where they are made.
template <bool OneLives>
void made_anew() {
  const std::array<const void*, 3> words = leave_stale_words();
  if (OneLives) keep_one();
  gd::the_collector.cycle();
  {
    for (std::size_t i = 0; i != words.size(); ++i) stacks[most_threads - 1 - i].stale = words[i];
    model::thread collector([] { gd::the_collector.cycle(); });
    collected::thread one(grow);
    collected::thread two(grow_wide);
    one.join();
    two.join();
  }
  if (OneLives) use(globals[0]);
  end_thread();
  expect_empty_heap();
}

constexpr model::options by_chance{.executions = 8'000, .warm_up = true};

void wrong(model::plant p, void (*f)(), const char* finds) {
  model::options o = by_chance;
  o.planted = p;
  model::expect_bug(o, f, finds);
}

/// The heap fills what has died with other values.
struct begin_heap {
  begin_heap() {
    ::setenv("HEDDLE_GC", "check=1", 1);
    gd::the_options();
    static gd::shade_buffer first;
    gd::mutators::recycle(first);
    gd::mutators::take_full();
  }
};
BOOST_TEST_GLOBAL_FIXTURE(begin_heap);

}  // namespace

BOOST_AUTO_TEST_SUITE(as_it_is)
BOOST_AUTO_TEST_CASE(making_anew) { model::expect_ok(by_chance, made_anew<false>); }
BOOST_AUTO_TEST_CASE(making_anew_beside_one) { model::expect_ok(by_chance, made_anew<true>); }
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(planted)
BOOST_AUTO_TEST_CASE(marks_unswept) { wrong(model::plant::gc_marks_unswept, made_anew<true>, "is not marked"); }
BOOST_AUTO_TEST_CASE(frees_while_marking) {
  wrong(model::plant::gc_frees_while_marking, made_anew<false>, "made anew between look-up and bits");
}
BOOST_AUTO_TEST_SUITE_END()
