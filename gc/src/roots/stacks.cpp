// SPDX-License-Identifier: BSL-1.0
#include "roots/stacks.hpp"

#include <unistd.h>

#include <ctime>

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
  scan(root_sink& sink, of_stopped_thread also) noexcept : sink_(sink), relay_(sink), fibers_(relay_), also_(also) {}

  void run() noexcept {
    constexpr unsigned patient = 4;  // passes that let a claimed fiber go on
    for (unsigned pass = 0;; ++pass) {
      const bool no_fiber_is_left = fibers_.scan_suspended(pass >= patient);
      if (threads_scanned() && no_fiber_is_left) return;
      scan_running();
      scan_threads();
      if (pass >= patient) pause_a_little();
    }
  }

 private:
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
    if (stopped_.stop(t.number()) != answer::stopped) return;
    scan_fiber();
    if (scan_interrupted_thread(stopped_, t, sink_) && (also_ == nullptr || also_(sink_, t.handle())))
      fibers_.mark_thread(t.mark());
    stopped_.release();
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

void scan_stacks(root_sink& sink, of_stopped_thread also) noexcept { scan(sink, also).run(); }

}  // namespace heddle::gc::detail
