// SPDX-License-Identifier: BSL-1.0
#include "roots/stacks.hpp"

#include <unistd.h>

#include <ctime>

#include "barrier/mutators.hpp"
#include "heddle/detail/fiber_roots.hpp"
#include "heddle/detail/platform.hpp"
#include "roots/interrupted_stack.hpp"
#include "roots/suspension.hpp"
#include "roots/threads.hpp"

namespace heddle::gc::detail {

namespace {

using heddle::detail::fiber_roots;
using heddle::detail::interrupted_kind;

void pause_a_little() noexcept {
  const timespec some{0, 30'000};
  ::nanosleep(&some, nullptr);
}

class scan {
 public:
  scan(root_sink& sink, of_stopped_thread also, standing_fibers standing, bool verifies) noexcept
      : sink_(sink), relay_(sink), fibers_(relay_, standing, verifies), also_(also) {}

  /// All but what is put off.
  void run() noexcept {
    constexpr unsigned patient = 4;  // passes that let a claimed fiber go on
    for (unsigned pass = 0;; ++pass) {
      const bool no_fiber_is_left = fibers_.scan_suspended(pass >= patient);
      // A thread that is known is stopped once, for the fiber that it runs and for its own stack.
      if (!threads_scanned())
        scan_threads();
      else if (!no_fiber_is_left)
        scan_running();
      else
        return;
      if (pass >= patient) pause_a_little();
    }
  }

  std::size_t passed_over() const noexcept { return fibers_.passed_over(); }

  /// The same, but fibers whose objects are not reached by anything else come last.
  void run(leak_look& look) noexcept {
    fibers_.put_off_by(&look);
    run();
    if (goes_on_until_settled(look)) {
      look.begin_last_pass();
      fibers_.scan_suspended(false);
    }
    fibers_.put_off_by(nullptr);
    run();
  }

 private:
  /// Scans what is put off as far as it is reached. True: nothing reaches those that are left. False: none is left, or
  /// they were too many, one behind the other.
  bool goes_on_until_settled(leak_look& look) noexcept {
    constexpr unsigned most = 100;
    for (unsigned round = 0; fibers_.put_off() != 0 && round != most; ++round) {
      const std::uint64_t before = fibers_.progress();
      look.reach_all();
      run();
      if (fibers_.progress() == before) return true;
    }
    return false;
  }

  void scan_running() noexcept {
    fibers_.for_each_running([](void* self, int thread) { static_cast<scan*>(self)->scan_machine(thread); }, this);
  }

  /// Scans the fiber that runs on the thread, unless that is busy.
  void scan_machine(int thread) noexcept {
    if (stopped_.stop(thread) != answer::stopped) return;
    scan_fiber();
    stopped_.release();
  }

  void scan_fiber() noexcept {
    if (stopped_.found().kind != interrupted_kind::fiber || fibers_.is_scanned(*stopped_.found().running)) return;
    scan_interrupted_fiber(stopped_, sink_);
    fibers_.mark_scanned(*stopped_.found().running);
  }

  bool threads_scanned() noexcept {
    const known_threads all;
    for (const thread_registration* t = all.first(); t != nullptr; t = known_threads::after(*t))
      if (t->number() != own_number_ && !fibers_.is_marked(t->mark())) return false;
    return true;
  }

  void scan_threads() noexcept {
    const known_threads all;
    for (const thread_registration* t = all.first(); t != nullptr; t = known_threads::after(*t))
      if (t->number() != own_number_ && !fibers_.is_marked(t->mark())) scan_thread(*t);
  }

  void scan_thread(const thread_registration& t) noexcept {
    answer a = stopped_.stop(t.number());
    const bool is_kept_out = a == answer::busy;
    if (is_kept_out) {
      // A thread that allocates is in the collector's functions for most of its time. It is caught before the next one.
      the_mutators.keep_out(t);
      a = stopped_.stop(t.number());
    }
    if (a == answer::stopped) {
      scan_fiber();
      if (scan_interrupted_thread(stopped_, t, sink_) && (also_ == nullptr || also_(sink_, t.handle())))
        fibers_.mark_thread(t.mark());
      stopped_.release();
    }
    if (is_kept_out) the_mutators.let_in(t);
  }

  root_sink& sink_;
  relay relay_;
  fiber_roots fibers_;
  const of_stopped_thread also_;
  const int own_number_ = ::gettid();
  static suspension stopped_;
};

constinit suspension scan::stopped_;

}  // namespace

std::size_t scan_stacks(root_sink& sink, of_stopped_thread also, leak_look* look, standing_fibers standing,
                        bool verifies) noexcept {
  scan s(sink, also, standing, verifies);
  look != nullptr ? s.run(*look) : s.run();
  return s.passed_over();
}

}  // namespace heddle::gc::detail
