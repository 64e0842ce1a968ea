// SPDX-License-Identifier: BSL-1.0
//
// Scans that pass over fibers which stand still, pass by pass: what happens in the midst of one.
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "gc/planted.hpp"
#include "heddle/detail/fiber_roots.hpp"
#include "heddle/heddle.hpp"
#include "page_watch.hpp"
#include "standing.hpp"
#include "support/death.hpp"

namespace {

using heddle::detail::fiber_roots;
using heddle::detail::standing_fibers;
using heddle::testing::as_collector;
using heddle::testing::death_of;

constexpr std::size_t watched = heddle::detail::standing_notes::least + 300;
#ifdef HEDDLE_SEGMENTED
constexpr std::size_t stack_size = 1024, many = watched;
#else
// The first stacks lie too far apart.
constexpr std::size_t stack_size = std::size_t{32} << 10, many = watched + 2600;
#endif

using word = volatile std::uintptr_t;

/// So many parked fibers, each with a word on its stack.
class crowd {
 public:
  crowd() : words_(many) {
    heddle::fiber_options small;
    small.stack_size = stack_size;
    done_.add(many);
    // All before the first fiber begins, which looks there.
    for (std::size_t i = 0; i != many; ++i) ways_.push_back(std::make_unique<heddle::channel<int>>(1));
    for (std::size_t i = 0; i != many; ++i) heddle::go(small, [this, i] { stay(i); });
    await(many);
  }
  ~crowd() {
    for (auto& w : ways_) w->close();
    done_.wait();
  }
  crowd(const crowd&) = delete;
  crowd& operator=(const crowd&) = delete;

  word& at(std::size_t i) { return *words_[i]; }
  /// The fiber goes on, stores the value, and waits again.
  void send(std::size_t i, int value) {
    const std::size_t before = arrived_;
    ways_[i]->send(value);
    await(before + 1);
  }

 private:
  [[gnu::noinline]] bool next(word& w, std::size_t i) {
    ++arrived_;
    const std::optional<int> got = ways_[i]->receive();
    if (got) w = static_cast<std::uintptr_t>(*got);
    return got.has_value();
  }
  [[gnu::noinline]] void leave() { done_.done(); }
  void stay(std::size_t i) {
    word w = 0;
    words_[i] = &w;
    while (next(w, i)) {
    }
    leave();
  }
  void await(std::size_t arrived) {
    while (arrived_ < arrived) std::this_thread::yield();
    // It has said so a moment before it is parked.
    while (heddle::stats().queued != 0 || heddle::stats().idle_processors == 0) std::this_thread::yield();
  }

  std::vector<word*> words_;
  std::vector<std::unique_ptr<heddle::channel<int>>> ways_;
  heddle::wait_group done_;
  std::atomic<std::size_t> arrived_{0};
};

/// Is told of one place, and does something then.
class reader final : public heddle::detail::word_visitor {
 public:
  explicit reader(word& place) : place_(&place) {}
  void words(const void* from, const void* to) noexcept override {
    const void* const at = const_cast<const std::uintptr_t*>(place_);
    if (at < from || at >= to) return;
    ++reads;
    found = *place_;
    if (meanwhile) meanwhile();
  }
  bool wants_again() noexcept override { return again; }

  int reads = 0;
  std::uintptr_t found = 0;
  bool again = false;
  std::function<void()> meanwhile;

 private:
  word* const place_;
};

/// Until all has been scanned.
std::size_t scan(reader& r, standing_fibers how, bool firmly = false, bool verifies = false) {
  fiber_roots roots(r, how, verifies);
  while (!roots.scan_suspended(firmly)) std::this_thread::yield();
  return roots.passed_over();
}
int reads_of(word& w, standing_fibers how) {
  reader r(w);
  scan(r, how);
  return r.reads;
}

/// Until they are passed over.
void settle(crowd& c) {
  for (int i = 0; i != 4; ++i) reads_of(c.at(0), standing_fibers::frozen);
  reader r(c.at(0));
  BOOST_TEST(scan(r, standing_fibers::passed_over) >= watched);
}
/// One of those that are, the first at `i` or below: others have stacks that are not watched.
std::size_t one_at_rest(crowd& c, std::size_t i) {
  while (i != 0 && reads_of(c.at(i), standing_fibers::passed_over) != 0) --i;
  BOOST_TEST(i != 0U);
  return i;
}

/// f on a collector's thread, if the kernel can tell of writes.
template <class F>
void with_crowd(F f) {
  crowd c;
  as_collector([&] {
    if (heddle::detail::page_watch::begin())
      f(c);
    else
      BOOST_TEST_MESSAGE("the kernel tells of no writes here");
    reader r(c.at(0));
    scan(r, standing_fibers::scanned);
  });
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_word_is_read_again_when_it_has_been_written) {
  with_crowd([](crowd& c) {
    settle(c);
    const std::size_t i = one_at_rest(c, many - 1);
    c.at(i) = 5;
    reader r(c.at(i));
    scan(r, standing_fibers::passed_over);
    BOOST_TEST(r.reads == 1);
    BOOST_TEST(r.found == 5U);
  });
}

BOOST_AUTO_TEST_CASE(a_fiber_that_is_resumed_between_passes_is_scanned) {
  with_crowd([](crowd& c) {
    settle(c);
    for (int round = 1; round != 20; ++round) {
      const std::size_t i = one_at_rest(c, many - static_cast<std::size_t>(round) * 13);
      reader r(c.at(i));
      {
        fiber_roots roots(r, standing_fibers::passed_over);
        while (!roots.scan_suspended(false)) std::this_thread::yield();
        c.send(i, round);
        while (!roots.scan_suspended(false)) std::this_thread::yield();
        BOOST_TEST(r.found == static_cast<std::uintptr_t>(round));
      }
      for (int k = 0; k != 4; ++k) scan(r, standing_fibers::passed_over);
    }
  });
}

/// One that was passed over, then resumed in the same scan, is not taken for frozen in the next.
BOOST_AUTO_TEST_CASE(a_fiber_that_is_resumed_after_the_last_pass_is_scanned_next_time) {
  with_crowd([](crowd& c) {
    settle(c);
    const std::size_t i = one_at_rest(c, many - 1);
    reader r(c.at(i));
    {
      fiber_roots roots(r, standing_fibers::passed_over);
      while (!roots.scan_suspended(false)) std::this_thread::yield();
      c.send(i, 9);
    }
    scan(r, standing_fibers::passed_over);
    BOOST_TEST(r.found == 9U);
  });
}

/// A page is protected once in a scan: what was written after one stack on it has been read stays known while others
/// are frozen.
BOOST_AUTO_TEST_CASE(a_write_in_the_midst_of_a_scan_is_not_forgotten) {
  for (std::size_t back = 1; back != 12; ++back)
    with_crowd([back](crowd& c) {
      word& w = c.at(many - back);
      for (int i = 0; i != 2; ++i) reads_of(w, standing_fibers::frozen);
      reader r(w);
      r.meanwhile = [&] { w = 70 + back; };
      scan(r, standing_fibers::frozen, true);  // one by one; all are frozen
      BOOST_TEST(r.found == 0U);
      reader now(w);
      BOOST_TEST(scan(now, standing_fibers::passed_over) >= watched - 8);
      BOOST_TEST(now.found == 70 + back);
    });
}

BOOST_AUTO_TEST_CASE(what_wants_to_be_told_again_is) {
  with_crowd([](crowd& c) {
    reader r(c.at(many - 1));
    r.again = true;
    for (int i = 0; i != 6; ++i) scan(r, standing_fibers::passed_over);
    BOOST_TEST(r.reads == 6);
  });
}

BOOST_AUTO_TEST_CASE(a_write_that_the_kernel_has_not_told_of_is_named) {
  const auto write = [](bool told) {
    with_crowd([told](crowd& c) {
      reader all(c.at(0));
      for (int i = 0; i != 5; ++i) scan(all, standing_fibers::passed_over, false, true);
      for (std::size_t i = 0; i != many; ++i) {
        c.at(i) = 5;
        const auto at = reinterpret_cast<std::uintptr_t>(&c.at(i));
        // As if it had not been written.
        if (!told) heddle::detail::page_watch::protect(reinterpret_cast<const char*>(at - at % 4096), 4096);
      }
      for (int k = 0; k != 3; ++k) scan(all, standing_fibers::passed_over, false, true);
    });
  };
  write(true);
  BOOST_TEST(death_of([&] { write(false); }).says("has been written into, and the kernel has not told"));
}

BOOST_AUTO_TEST_CASE(a_scan_of_all_thaws) {
  with_crowd([](crowd& c) {
    settle(c);
    const std::size_t i = one_at_rest(c, many - 1);
    BOOST_TEST(reads_of(c.at(i), standing_fibers::scanned) == 1);
    BOOST_TEST(reads_of(c.at(i), standing_fibers::passed_over) == 1);
  });
}
