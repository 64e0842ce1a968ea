// SPDX-License-Identifier: BSL-1.0
//
// Young cycles pass over parked fibers whose stacks nobody has written into. The objects that these hold live all the
// same, whoever has put them there: the marks of each cycle are checked whole, and dead objects are filled with other
// values.
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <cstddef>
#include <thread>
#include <vector>

#include "add_option.hpp"
#include "crowd.hpp"
#include "dying.hpp"
#include "heddle/gc.hpp"
#include "heddle/heddle.hpp"
#include "support/scale.hpp"
#include "witness.hpp"

namespace {

namespace gc = heddle::gc;
using heddle::testing::collect_some;
using heddle::testing::crowd;
using heddle::testing::far_below;
using heddle::testing::is_watching;
using heddle::testing::is_whole_list;
using heddle::testing::make_list;
using heddle::testing::make_witness;
using heddle::testing::many;
using heddle::testing::passed_over_at_last;
using heddle::testing::settle;
using heddle::testing::small_stack;
using heddle::testing::watched;
using heddle::testing::witness;

struct begins {
  begins() { heddle::testing::add_option("check"); }
};
BOOST_TEST_GLOBAL_FIXTURE(begins);

/// Generations while it lives. The watch has taken already what it keeps for the process.
struct generational : heddle::testing::collected_check {
  generational() {
    gc::set_generational(true);
    static const bool once = [] {
      crowd c(many);
      passed_over_at_last();
      return true;
    }();
    static_cast<void>(once);
    gc::collect();
    before = heddle::testing::belongings::now();
  }
  void teardown() {
    // A fiber says that it is done a moment before it has ended.
    const heddle::testing::timer late(heddle::testing::late);
    while (heddle::stats().fibers > before.fibers && !late.is_over()) std::this_thread::yield();
    gc::set_generational(false);
    gc::collect();
    collected_check::teardown();
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(parked, generational)

BOOST_AUTO_TEST_CASE(fibers_that_nobody_touches_are_passed_over) {
  crowd c(many);
  settle();
  collect_some();
  BOOST_TEST(c.end() == many);
}

BOOST_AUTO_TEST_CASE(few_are_not_worth_it) {
  crowd c(watched / 2);
  BOOST_TEST(passed_over_at_last() == 0U);
  BOOST_TEST(c.end() == watched / 2);
}

BOOST_AUTO_TEST_CASE(whole_cycles_scan_all_and_leave_them_frozen) {
  crowd c(many);
  settle();
  const std::uint64_t so_far = gc::statistics().fibers_passed_over;
  for (int i = 0; i != 2; ++i) gc::collect();
  BOOST_TEST(gc::statistics().fibers_passed_over == so_far);
  gc::collect_young();
  if (is_watching()) BOOST_TEST(gc::statistics().fibers_passed_over >= so_far + watched);
  BOOST_TEST(c.end() == many);
}

BOOST_AUTO_TEST_CASE(without_generations_nobody_is_passed_over) {
  crowd c(many);
  settle();
  gc::set_generational(false);
  const std::uint64_t so_far = gc::statistics().fibers_passed_over;
  for (int i = 0; i != 3; ++i) gc::collect_young();
  BOOST_TEST(gc::statistics().fibers_passed_over == so_far);
  gc::set_generational(true);
  for (int i = 0; i != 3; ++i) gc::collect_young();  // marks of a scan before count no more
  BOOST_TEST(c.end() == many);
}

BOOST_AUTO_TEST_CASE(what_others_write_into_a_frame_lives) {
  crowd c(many);
  for (std::uint64_t round = 1; round != 4; ++round) {
    settle();
    for (std::size_t i = round; i < many; i += 7) c.put(i, round * 10'000 + i);
    collect_some();
  }
  BOOST_TEST(c.end() == many);
}

BOOST_AUTO_TEST_CASE(what_the_kernel_writes_into_a_frame_lives) {
  crowd c(many);
  settle();
  for (std::size_t i = 0; i < many; i += 50) c.put_by_kernel(i, 20'000 + i);
  collect_some();
  BOOST_TEST(c.end() == many);
}

BOOST_AUTO_TEST_CASE(what_comes_by_a_channel_lives) {
  crowd c(many);
  for (std::uint64_t round = 1; round != 4; ++round) {
    settle();
    for (std::size_t i = round; i < many; i += 11) c.send(i, round * 10'000 + i);
    collect_some();
  }
  BOOST_TEST(c.end() == many);
}

/// A page has several stacks that grow: one of them is written, and the others stand still.
BOOST_AUTO_TEST_CASE(neighbours_of_a_busy_one_live) {
  crowd c(many);
  settle();
  for (std::uint64_t round = 1; round != 6; ++round) {
    c.send(many / 2, round * 10'000);
    c.put(many / 2 + 1, round * 10'000 + 1);
    gc::collect_young();
  }
  BOOST_TEST(c.end() == many);
}

/// Numbers of scans come again after some.
BOOST_AUTO_TEST_CASE(what_is_written_after_many_cycles_lives) {
  crowd c(many);
  settle();
  for (std::size_t round = 1; round != 80; ++round) {
    c.put(many - 1 - round * 3, round);
    gc::collect_young();
  }
  collect_some();
  BOOST_TEST(c.end() == many);
}

BOOST_AUTO_TEST_CASE(stacks_that_are_used_again_are_scanned) {
  crowd stays(many);
  for (int round = 0; round != 3; ++round) {
    crowd goes(many);
    settle();
    BOOST_TEST(goes.end() == many);
    crowd next(many);
    collect_some();
    BOOST_TEST(next.end() == many);
  }
  BOOST_TEST(stays.end() == many);
}

/// A variable in a closure, whose address another has.
BOOST_AUTO_TEST_CASE(what_others_write_into_a_closure_lives) {
  crowd c(many);
  settle();
  for (std::size_t i = 0; i < many; i += 3) c.put_into_closure(i, i);
  collect_some();
  BOOST_TEST(c.end() == many);
}

/// One that is too large for the control block.
BOOST_AUTO_TEST_CASE(what_others_write_into_a_large_closure_lives) {
  constexpr std::size_t n = many;
  heddle::channel<int> gate;
  std::vector<witness**> places(n);
  std::atomic<std::size_t> begun{0}, whole{0};
  heddle::wait_group done;
  done.add(n);
  for (std::size_t i = 0; i != n; ++i)
    heddle::go(small_stack(), [&, i, mine = static_cast<witness*>(nullptr), bytes = std::array<char, 500>()]() mutable {
      bytes[i % 500] = 1;
      places[i] = &mine;
      ++begun;
      (void)gate.receive();
      whole += mine->is_whole() && mine->id == i && bytes[i % 500] == 1 ? 1 : 0;
      done.done();
    });
  while (begun < n) std::this_thread::yield();
  for (int i = 0; i != 6; ++i) gc::collect_young();
  for (std::size_t i = 0; i != n; ++i) far_below([&] { *places[i] = make_witness(i).get(); });
  collect_some();
  gate.close();
  done.wait();
  BOOST_TEST(whole == n);
}

namespace {

/// Its constructor waits, and then stores what nobody is told of.
struct made_slowly {
  explicit made_slowly(heddle::channel<int>& gate) {
    (void)gate.receive();
    plain = make_list(3).get();
  }
  witness* plain = nullptr;
  static void trace(gc::layout<made_slowly>& l) { l(&made_slowly::plain); }
};
/// Is old, so that nothing finds by it that what it leads to is to be looked at.
struct shelf {
  gc::ptr<made_slowly> made;
};
[[gnu::noinline]] void make_slowly(shelf& to, heddle::channel<int>& gate) { to.made = gc::make<made_slowly>(gate); }

}  // namespace

BOOST_AUTO_TEST_CASE(objects_whose_constructors_wait_are_looked_at) {
  std::vector<gc::root<shelf>> made(many);
  for (auto& m : made) m = gc::make<shelf>();
  gc::collect();
  heddle::channel<int> gate;
  heddle::wait_group done;
  done.add(many);
  std::atomic<std::size_t> begun{0};
  for (auto& to : made)
    heddle::go(small_stack(), [&] {
      ++begun;
      make_slowly(*to, gate);
      done.done();
    });
  while (begun < many) std::this_thread::yield();
  for (int i = 0; i != 8; ++i) gc::collect_young();
  gate.close();
  done.wait();
  collect_some();
  std::size_t whole = 0;
  far_below([&] {
    for (auto& m : made) whole += is_whole_list(m->made->plain) ? 1 : 0;
  });
  BOOST_TEST(whole == many);
}

/// An object that is made while the collector marks may be put into a frame just before that is frozen.
BOOST_AUTO_TEST_CASE(what_is_made_during_a_cycle_lives) {
  crowd c(many);
  settle();
  const int rounds = heddle::testing::times(20);
  for (int round = 0; round != rounds; ++round) {
    for (std::size_t i = 0; i != many; ++i) c.put_told(i, i);  // so the next cycle thaws all, and the one after freezes
    gc::collect_young();
    std::atomic<bool> begun{false};
    std::thread writer([&] {
      begun = true;
      for (std::size_t i = many; i-- != 0;) {
        c.put_told(i, i + many);
        for (int k = 0; k != 10; ++k) make_witness(0);  // so that it lasts as long as a scan
      }
    });
    while (!begun) std::this_thread::yield();
    gc::collect_young();
    writer.join();
    collect_some();
    std::size_t whole = 0;
    far_below([&] {
      for (std::size_t i = 0; i != many; ++i) whole += c.at(i).told->is_whole() && c.at(i).told->id == i + many ? 1 : 0;
    });
    BOOST_TEST(whole == many);
  }
  BOOST_TEST(c.end() == many);
}

#ifdef HEDDLE_SEGMENTED
/// An alloca for which a segment has no room lies elsewhere.
BOOST_AUTO_TEST_CASE(what_others_write_into_an_alloca_lives) {
  crowd c(many);
  heddle::channel<int> gate;
  std::atomic<witness* volatile*> place{nullptr};
  std::atomic<int> whole{-1};
  const auto stand = [&]() __attribute__((noinline)) {
    auto* const own = static_cast<witness* volatile*>(__builtin_alloca(3000));
    *own = nullptr;
    place = own;
    (void)gate.receive();
    whole = (*own)->is_whole() && (*own)->id == 78 ? 1 : 0;
  };
  auto f = heddle::spawn(small_stack(), [&] { stand(); });
  while (place == nullptr) std::this_thread::yield();
  settle();
  far_below([&] { *place.load() = make_witness(78).get(); });
  collect_some();
  gate.close();
  f.join();
  BOOST_TEST(whole == 1);
  BOOST_TEST(c.end() == many);
}
#endif

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
namespace {

/// Whether f holds in a child.
template <class F>
bool holds_in_child(F f) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(120);
    ::_exit(f() ? 0 : 1);
  }
  int status = -1;
  return child > 0 && ::waitpid(child, &status, 0) == child && status == 0;
}
bool keeps_what_is_written() {
  crowd c(many);
  for (std::uint64_t round = 1; round != 3; ++round) {
    passed_over_at_last();
    for (std::size_t i = round; i < many; i += 7) c.put(i, round * 10'000 + i);
    collect_some();
  }
  return c.end() == many;
}
/// The process has no userfaultfd any more: EPERM.
bool forbid_watching() {
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_userfaultfd, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{static_cast<unsigned short>(std::size(code)), code};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

}  // namespace

BOOST_AUTO_TEST_CASE(children_watch_their_own_stacks) {
  crowd c(many);
  settle();
  const bool watches = is_watching();
  BOOST_TEST(holds_in_child([&] {
    crowd own(many);
    const std::size_t last = passed_over_at_last();
    return (watches ? last >= watched : last == 0) && own.end() == many && keeps_what_is_written();
  }));
  for (std::size_t i = 0; i < many; i += 7) c.put(i, 30'000 + i);
  collect_some();
  settle();
  BOOST_TEST(c.end() == many);
}

BOOST_AUTO_TEST_CASE(without_generations_nothing_is_watched) {
  BOOST_TEST(holds_in_child([] {
    gc::set_generational(false);
    crowd c(many);
    gc::collect();  // what a collector takes for the process has been taken
    const auto before_all = heddle::testing::belongings::now();
    for (int i = 0; i != 6; ++i) gc::collect();
    return heddle::testing::belongings::now().descriptors == before_all.descriptors;
  }));
}

BOOST_AUTO_TEST_CASE(without_userfaultfd_all_are_scanned) {
  BOOST_TEST(holds_in_child([] {
    if (!forbid_watching()) return false;
    crowd c(many);
    return passed_over_at_last() == 0 && c.end() == many && keeps_what_is_written();
  }));
}

/// A program that closes descriptors which it has not opened ends the watch.
BOOST_AUTO_TEST_CASE(closed_descriptors_end_the_watch) {
  BOOST_TEST(holds_in_child([] {
    crowd c(many);
    passed_over_at_last();
    ::syscall(SYS_close_range, 3, ~0U, 0);
    for (std::size_t i = 0; i < many; i += 7) c.put(i, 40'000 + i);
    collect_some();
    return passed_over_at_last() == 0 && c.end() == many;
  }));
}
#endif

BOOST_AUTO_TEST_SUITE_END()
