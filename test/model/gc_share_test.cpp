// SPDX-License-Identifier: BSL-1.0
//
// Marking that several threads share (gc/src/mark/work_share.hpp): when the collector has come to the end nothing waits
// anywhere, and it sees all that helpers have done.
#include <array>
#include <cstdint>
#include <vector>

#include "mark/work_share.hpp"
#include "model/data.hpp"
#include "model/expect.hpp"

namespace {

namespace hd = heddle::detail;
using heddle::gc::detail::work_packet;
using heddle::gc::detail::work_share;

constexpr std::size_t objects = 12;

/// Object n leads to 2n + 1 and 2n + 2.
struct tree {
  work_share share;
  std::array<hd::atomic<int>, objects> marked{};
  std::array<model::data<int>, objects> gone_through{};
};

/// As a marker, in small.
class walker {
 public:
  explicit walker(tree& of) : of_(of) {}
  void visit(std::size_t n) {
    if (n < objects && of_.marked[n].fetch_or(1, std::memory_order_relaxed) == 0) waiting_.push_back(n);
  }
  /// True: nothing waits here.
  bool step() {
    if (waiting_.empty()) return true;
    const std::size_t n = waiting_.back();
    waiting_.pop_back();
    of_.gone_through[n] = of_.gone_through[n] + 1;
    visit(2 * n + 1);
    visit(2 * n + 2);
    return waiting_.empty();
  }
  void give_all() {
    while (!waiting_.empty()) {
      work_packet& p = *work_share::make();
      for (; !waiting_.empty() && p.count != work_packet::capacity; waiting_.pop_back())
        p.items[p.count++] = waiting_.back();
      work_share::put(p);
    }
  }
  bool take(work_packet* p) {
    if (p == nullptr) return false;
    for (std::size_t i = 0; i != p->count; ++i) waiting_.push_back(p->items[i]);
    work_share::recycle(*p);
    return true;
  }

 private:
  tree& of_;
  std::vector<std::size_t> waiting_;
};

void help(tree& t) {
  if (!t.share.enter()) return;
  walker w(t);
  if (w.take(work_share::take()))
    for (int i = 0; i != 2 && !w.step(); ++i) {
    }
  w.give_all();
  t.share.leave();
}

/// The collector goes through the tree twice; two threads help now and then.
void shares() {
  tree t;
  for (auto& n : t.gone_through) n = 0;
  model::thread one([&] {
    for (int i = 0; i != 3; ++i) help(t);
  });
  model::thread two([&] {
    for (int i = 0; i != 2; ++i) help(t);
  });
  for (int cycle = 1; cycle != 3; ++cycle) {
    for (auto& m : t.marked) m.store(0, std::memory_order_relaxed);
    walker w(t);
    w.visit(0);
    t.share.go_through_all(
        [&] {
          w.step();
          if (t.share.wants_more()) w.give_all();
          return w.step();
        },
        [&] { return w.take(work_share::take()); });
    for (auto& n : t.gone_through) model::check(n == cycle, "the collector has come to an end too early");
  }
}

/// Work that a helper puts aside comes to the collector.
void puts_aside() {
  tree t;
  hd::atomic<int> put{0};
  int got = 0;
  model::thread helper([&] {
    if (!t.share.enter()) return;
    work_packet& p = *work_share::make();
    p.items[p.count++] = 7;
    work_share::put_aside(p);
    put.store(1, std::memory_order_relaxed);
    t.share.leave();
  });
  t.share.go_through_all([] { return true; },
                         [&] {
                           work_packet* const p = work_share::take_aside();
                           if (p == nullptr) return false;
                           got += p->count == 1 && p->items[0] == 7;
                           work_share::recycle(*p);
                           return true;
                         });
  const bool was_put = put.load(std::memory_order_relaxed) != 0;
  model::check(!was_put || got == 1, "what was put aside is lost");
  helper.join();
  while (work_packet* const p = work_share::take_aside()) work_share::recycle(*p);
}

/// Makes what executions would have to make.
struct make_pools {
  make_pools() {
    static work_packet packet;
    work_share::recycle(packet);
    work_share::take();
    work_share::take_aside();
  }
};
BOOST_TEST_GLOBAL_FIXTURE(make_pools);

constexpr model::options by_chance{.executions = 30'000, .warm_up = true};

void wrong(model::plant p, void (*f)()) {
  model::options o = by_chance;
  o.planted = p;
  model::expect_bug(o, f);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(as_it_is)
BOOST_AUTO_TEST_CASE(sharing) { model::expect_ok(by_chance, shares); }
BOOST_AUTO_TEST_CASE(putting_aside) { model::expect_ok(by_chance, puts_aside); }
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(planted)
BOOST_AUTO_TEST_CASE(helper_looks_early) { wrong(model::plant::gc_helper_looks_early, shares); }
BOOST_AUTO_TEST_CASE(helper_leaves_relaxed) { wrong(model::plant::gc_helper_leaves_relaxed, shares); }
BOOST_AUTO_TEST_CASE(close_awaits_nobody) { wrong(model::plant::gc_close_awaits_nobody, shares); }
BOOST_AUTO_TEST_SUITE_END()
