// SPDX-License-Identifier: BSL-1.0
#include "collected_roots.hpp"

#include <algorithm>
#include <vector>

#include "collected_threads.hpp"
#include "cycle/collector.hpp"
#include "cycle/roots.hpp"
#include "mark/mark_check.hpp"
#include "model/model.hpp"

namespace collected {

std::array<stack, most_threads> stacks;
std::array<void*, 2> globals;

namespace {

constexpr std::uint32_t offsets[] = {0, sizeof(void*)};
const gd::type_description description{"object", object::bytes, 16, gd::scanning::precise, 2, offsets, nullptr};
gd::type_handle handle{&description};
const gd::type_description large{"large object", 600'000, 16, gd::scanning::precise, 2, offsets, nullptr};
gd::type_handle handle_of_large{&large};
const gd::type_description wide{"wide object", 2 * object::bytes, 16, gd::scanning::precise, 2, offsets, nullptr};
gd::type_handle handle_of_wide{&wide};

heddle::detail::atomic<int> any{0};  // made before all executions

object* begin(void* memory) {
  auto* const o = static_cast<object*>(memory);
  model::check(o->a == nullptr && o->b == nullptr, "a new object is not zero");
  o->state = object::alive;
  return o;
}

/// What the globals and the stacks lead to now. Nobody acts meanwhile.
std::vector<void*> reachable() {
  std::vector<void*> found;
  const auto add = [&](void* p) {
    if (p != nullptr && std::find(found.begin(), found.end(), p) == found.end()) found.push_back(p);
  };
  for (void* g : globals) add(g);
  for (const stack& s : stacks)
    for (void* p : s.objects) add(p);
  for (std::size_t i = 0; i != found.size(); ++i) {
    const object& o = *static_cast<object*>(found[i]);
    model::check(o.state == object::alive, "an object that can be reached has been swept");
    add(o.a);
    add(o.b);
  }
  return found;
}

/// As marker::visit_if_allocated() does it. Between the look-up and the bits others act; the bits must still be those
/// of the block that was found.
void look_up(const void* p) {
  const gd::block found = gd::the_regions.find(reinterpret_cast<std::uintptr_t>(p));
  others_may_act();
  if (!found || !found.is_allocated()) return;
  const gd::block now = gd::the_regions.find(reinterpret_cast<std::uintptr_t>(p));
  model::check(now.of == found.of && now.start == found.start, "a span was made anew between look-up and bits");
}

/// Whether the newest value of its mark says so.
bool is_marked(void* p) {
  const gd::block b = gd::the_regions.find(reinterpret_cast<std::uintptr_t>(p));
  return b && (b.mark_word().fetch_or(0, std::memory_order_relaxed) & b.mask()) != 0;
}

}  // namespace

void others_may_act() { any.load(std::memory_order_relaxed); }

stack& mine() { return stacks.at(model::current_thread()); }

object* make() { return begin(gd::allocate(handle)); }
object* make_large() { return begin(gd::allocate(handle_of_large)); }
object* make_wide() { return begin(gd::allocate(handle_of_wide)); }

object* use(void* p) {
  auto* const o = static_cast<object*>(p);
  model::check(o->state == object::alive, "an object in use has been swept");
  return o;
}

void sweep_all() {
  for (std::size_t k = 1, n = gd::the_kinds.count(); k != n; ++k)
    while (gd::the_heap.sweep_one(gd::the_kinds[k])) {
    }
}

void expect_empty_heap() {
  stacks = {};
  globals = {};
  for (int i = 0; i != 2; ++i) {
    gd::the_collector.cycle();
    sweep_all();
  }
  model::check(gd::the_heap.in_spans() == 0, "what is dead is still there after two cycles");
}

}  // namespace collected

namespace heddle::gc::detail {

using namespace collected;

std::size_t visit_roots(marker& m, leak_look* look, standing_fibers, bool) noexcept {
  for (void* const& g : globals) {
    m.visit(g);
    others_may_act();
  }
  for (unsigned i = 0; i != most_threads; ++i) {
    while (is_inside(i)) heddle::detail::platform::yield_thread();
    const stack seen = stacks[i];
    m.words(&seen, &seen + 1);
    if (seen.stale != nullptr) look_up(seen.stale);
  }
  if (look == nullptr) return 0;
  look->reach_all();
  check_marks(1, 0, false);  // all that can be reached has been
  return 0;
}

missed_mark check_marks(std::size_t, std::uint64_t, bool) noexcept {
  const std::vector<void*> all = reachable();
  // Whoever has made a span has had this lock since.
  for (std::size_t k = 1, n = the_kinds.count(); k != n; ++k) the_heap.for_each_span(the_kinds[k], [](span&) {});
  for (void* p : all) model::check(is_marked(p), "an object that can be reached is not marked");
  return {};
}
void report_missed(const missed_mark&) noexcept {}

}  // namespace heddle::gc::detail
