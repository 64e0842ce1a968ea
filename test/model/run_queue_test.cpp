// SPDX-License-Identifier: BSL-1.0
//
// The local queues (runtime/src/run_queue.hpp) with their owner and thieves: every fiber comes out
// exactly once, and who takes it sees it as it was put in. The rings hold four here, so they wrap
// and overflow all the time.
#include "run_queue.hpp"

#include <boost/test/unit_test.hpp>
#include <vector>

#include "model/data.hpp"
#include "model/expect.hpp"

namespace heddle::detail {
/// The queues know fibers by address only.
class fiber {
 public:
  explicit fiber(int n) : number(n) {}
  model::data<int> number;
};
}  // namespace heddle::detail

namespace {

using heddle::detail::fiber;
using heddle::detail::fresh_queue;
using heddle::detail::queue_capacity;
using heddle::detail::run_queue;
using heddle::detail::sharing;

/// What one thread has taken out.
class taken {
 public:
  void add(fiber* f) { numbers_.push_back(f->number); }
  void add(fiber** f, std::uint32_t n) {
    for (std::uint32_t i = 0; i != n; ++i) add(f[i]);
  }
  const std::vector<int>& numbers() const { return numbers_; }

 private:
  std::vector<int> numbers_;
};

/// The fibers of one execution, numbered from 0.
class fibers {
 public:
  explicit fibers(int n) {
    for (int i = 0; i != n; ++i) all_.emplace_back(new fiber(i));
  }
  fiber* operator[](int i) const { return all_[static_cast<std::size_t>(i)].get(); }
  /// To be called when all threads have ended.
  void check_each_once(std::initializer_list<const taken*> by) const {
    std::vector<int> count(all_.size());
    for (const taken* t : by)
      for (const int n : t->numbers()) ++count[static_cast<std::size_t>(n)];
    for (const int c : count) {
      model::check(c >= 1, "a fiber was lost");
      model::check(c <= 1, "a fiber was taken twice");
    }
  }

 private:
  std::vector<std::unique_ptr<fiber>> all_;
};

void push_or_overflow(run_queue& q, fiber* f, taken& overflow) {
  if (q.push(f)) return;
  fiber* half[queue_capacity];
  overflow.add(half, q.take_half(half));
  if (!q.push(f)) overflow.add(f);
}
void drain(run_queue& q, taken& into) {
  while (fiber* f = q.take_next()) into.add(f);
  while (fiber* f = q.pop()) into.add(f);
}
void steal_some(run_queue& q, taken& into, int times) {
  fiber* loot[queue_capacity];
  for (int i = 0; i != times; ++i) into.add(loot, q.take_half(loot));
}

/// The owner pushes and pops, a thief steals halves.
void ring_with_a_thief() {
  const fibers all(7);
  run_queue q;
  taken owner, thief;
  {
    model::thread t([&] { steal_some(q, thief, 3); }, "thief");
    for (int i = 0; i != 7; ++i) {
      push_or_overflow(q, all[i], owner);
      if (i % 3 == 2)
        if (fiber* f = q.pop()) owner.add(f);
    }
  }
  drain(q, owner);
  all.check_each_once({&owner, &thief});
}

void ring_with_two_thieves() {
  const fibers all(6);
  run_queue q;
  taken owner, one, two;
  for (int i = 0; i != 3; ++i) push_or_overflow(q, all[i], owner);
  {
    model::thread t1([&] { steal_some(q, one, 2); }, "thief 1");
    model::thread t2([&] { steal_some(q, two, 2); }, "thief 2");
    for (int i = 3; i != 6; ++i) push_or_overflow(q, all[i], owner);
    if (fiber* f = q.pop()) owner.add(f);
  }
  drain(q, owner);
  all.check_each_once({&owner, &one, &two});
}

/// Runnext is replaced by the owner, and taken by it and a thief.
void runnext_with_a_thief() {
  const fibers all(4);
  run_queue q;
  taken owner, thief;
  {
    model::thread t(
        [&] {
          for (int i = 0; i != 2; ++i)
            if (q.peek_next() != nullptr)
              if (fiber* f = q.take_next()) thief.add(f);
        },
        "thief");
    for (int i = 0; i != 4; ++i) {
      if (fiber* old = q.replace_next(all[i])) owner.add(old);
      if (i == 2)
        if (fiber* f = q.take_next()) owner.add(f);
    }
  }
  drain(q, owner);
  all.check_each_once({&owner, &thief});
}

void steal_fresh(fresh_queue& q, taken& into, int times) {
  for (int i = 0; i != times; ++i)
    if (fiber* f = q.steal()) into.add(f);
}
void fresh_owner(fresh_queue& q, const fibers& all, int n, taken& owner) {
  for (int i = 0; i != n; ++i) {
    if (!q.push(all[i])) {
      fiber* half[queue_capacity];
      owner.add(half, q.take_half(half));
      if (!q.push(all[i])) owner.add(all[i]);
    }
    if (i % 2 == 1)
      if (fiber* f = q.pop()) owner.add(f);
  }
  while (fiber* f = q.pop()) owner.add(f);
}

void fresh_with_a_thief() {
  const fibers all(6);
  fresh_queue q;
  taken owner, thief;
  {
    model::thread t([&] { steal_fresh(q, thief, 3); }, "thief");
    fresh_owner(q, all, 6, owner);
  }
  all.check_each_once({&owner, &thief});
}

void fresh_with_two_thieves() {
  const fibers all(3);
  fresh_queue q;
  taken owner, one, two;
  {
    model::thread t1([&] { steal_fresh(q, one, 2); }, "thief 1");
    model::thread t2([&] { steal_fresh(q, two, 2); }, "thief 2");
    fresh_owner(q, all, 3, owner);
  }
  all.check_each_once({&owner, &one, &two});
}

/// Overflow of the fresh queue against a thief: the older half goes at once.
void fresh_overflow() {
  const fibers all(6);
  fresh_queue q;
  taken owner, thief;
  {
    model::thread t([&] { steal_fresh(q, thief, 2); }, "thief");
    for (int i = 0; i != 6; ++i) {
      if (q.push(all[i])) continue;
      fiber* half[queue_capacity];
      owner.add(half, q.take_half(half));
      if (!q.push(all[i])) owner.add(all[i]);
    }
  }
  while (fiber* f = q.pop()) owner.add(f);
  all.check_each_once({&owner, &thief});
}

/// A queue of one processor: no thief, no fence, no exchange.
void exclusive() {
  const fibers all(9);
  run_queue q(sharing::exclusive);
  fresh_queue fresh(sharing::exclusive);
  taken owner;
  for (int i = 0; i != 5; ++i) push_or_overflow(q, all[i], owner);
  if (fiber* old = q.replace_next(all[5])) owner.add(old);
  for (int i = 6; i != 9; ++i) model::check(fresh.push(all[i]), "full");
  drain(q, owner);
  model::check(fresh.pop() == all[8], "the newest comes first");
  model::check(fresh.steal() == all[6], "the oldest is stolen");
  model::check(fresh.pop() == all[7], "the newest comes first");
  owner.add(all[6]);
  owner.add(all[7]);
  owner.add(all[8]);
  all.check_each_once({&owner});
}

constexpr model::options random{.executions = 60'000};
constexpr model::options every{
    .strategy = model::strategy::exhaustive, .executions = 60'000, .stale_reads = 1, .weak_failures = 1};

using scenario = void (*)();
void right(scenario s) {
  model::expect_ok(random, s);
  model::expect_ok(every, s);
}
void wrong(model::plant bug, scenario s) {
  model::options o = random;
  o.planted = bug;
  model::expect_bug(o, s);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(as_it_is)
BOOST_AUTO_TEST_CASE(ring) { right(ring_with_a_thief); }
BOOST_AUTO_TEST_CASE(ring_two_thieves) { right(ring_with_two_thieves); }
BOOST_AUTO_TEST_CASE(runnext) { right(runnext_with_a_thief); }
BOOST_AUTO_TEST_CASE(fresh) { right(fresh_with_a_thief); }
BOOST_AUTO_TEST_CASE(fresh_two_thieves) { right(fresh_with_two_thieves); }
BOOST_AUTO_TEST_CASE(fresh_overflows) { right(fresh_overflow); }
BOOST_AUTO_TEST_CASE(one_processor) { right(exclusive); }
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(planted)
BOOST_AUTO_TEST_CASE(relaxed_tail) { wrong(model::plant::relaxed_tail, ring_with_a_thief); }
BOOST_AUTO_TEST_CASE(take_without_exchange) { wrong(model::plant::take_without_exchange, ring_with_two_thieves); }
BOOST_AUTO_TEST_CASE(runnext_taken_twice) { wrong(model::plant::runnext_taken_twice, runnext_with_a_thief); }
BOOST_AUTO_TEST_CASE(relaxed_bottom) { wrong(model::plant::relaxed_bottom, fresh_overflow); }
BOOST_AUTO_TEST_CASE(take_without_reread) { wrong(model::plant::take_without_reread, ring_with_two_thieves); }
BOOST_AUTO_TEST_CASE(steal_without_fence) { wrong(model::plant::steal_without_fence, fresh_with_two_thieves); }
BOOST_AUTO_TEST_CASE(pop_without_fence) { wrong(model::plant::pop_without_fence, fresh_with_a_thief); }
BOOST_AUTO_TEST_SUITE_END()
