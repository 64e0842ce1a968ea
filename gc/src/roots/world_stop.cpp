// SPDX-License-Identifier: BSL-1.0
//
// All threads are stopped one after the other. One that is busy may wait for a lock that a stopped one holds; so if it
// stays busy all are let go, and it begins anew.
#include "roots/world_stop.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <optional>

#include "heddle/detail/fibers_held.hpp"
#include "roots/interrupted_stack.hpp"
#include "roots/suspension.hpp"
#include "roots/threads.hpp"

namespace heddle::gc::detail {

namespace {

constexpr std::size_t most = 1024;  // threads that can be stopped at once
constinit std::array<suspension, most> suspensions;

void pause_a_little() noexcept {
  const timespec some{0, 50'000};
  ::nanosleep(&some, nullptr);
}

}  // namespace

struct world_stop::parts {
  std::optional<heddle::detail::fibers_held> fibers;
  std::optional<known_threads> threads;
  std::size_t stopped = 0;
  bool failed = false;
  bool any_new = false;
  const int own_number = ::gettid();

  ~parts() { let_go(); }

  bool is_stopped(int thread) const noexcept {
    return std::any_of(suspensions.begin(), suspensions.begin() + static_cast<std::ptrdiff_t>(stopped),
                       [thread](const suspension& s) { return s.thread() == thread; });
  }

  void stop(int thread) noexcept {
    constexpr int patience = 100;
    if (failed || thread == own_number || is_stopped(thread)) return;
    if (stopped == most) return static_cast<void>(failed = true);
    for (int i = 0; i != patience; ++i) {
      switch (suspensions[stopped].stop(thread)) {
        case answer::stopped: any_new = true; return static_cast<void>(++stopped);
        case answer::gone: return;
        case answer::busy: pause_a_little();
      }
    }
    failed = true;
  }

  bool try_stop() {
    fibers.emplace();
    threads.emplace();
    failed = false;
    for (const thread_registration* t = threads->first(); t != nullptr; t = known_threads::after(*t)) stop(t->number());
    do {
      any_new = false;
      fibers->for_each_at_work([](void* self, int thread) { static_cast<parts*>(self)->stop(thread); }, this);
    } while (any_new && !failed);
    return !failed && fibers->hold([](void* self, int n) { return static_cast<parts*>(self)->is_stopped(n); }, this);
  }

  void let_go() noexcept {
    while (stopped != 0) suspensions[--stopped].release();
    threads.reset();
    fibers.reset();
  }
};

world_stop::world_stop() : parts_(std::make_unique<parts>()) {
  while (!parts_->try_stop()) {
    parts_->let_go();
    pause_a_little();
  }
}

world_stop::~world_stop() = default;

void world_stop::scan_all(root_sink& sink, of_stopped_thread also) noexcept {
  relay to(sink);
  parts_->fibers->scan(to);
  for (std::size_t i = 0; i != parts_->stopped; ++i) scan_interrupted_fiber(suspensions[i], sink);
  for (const thread_registration* t = parts_->threads->first(); t != nullptr; t = known_threads::after(*t))
    for (std::size_t i = 0; i != parts_->stopped; ++i) {
      if (suspensions[i].thread() != t->number()) continue;
      scan_interrupted_thread(suspensions[i], *t, sink);
      if (also != nullptr) also(sink, t->handle());
    }
}

}  // namespace heddle::gc::detail
