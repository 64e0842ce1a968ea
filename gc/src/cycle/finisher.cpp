// SPDX-License-Identifier: BSL-1.0
#include "cycle/finisher.hpp"

#include <cstdio>
#include <exception>
#include <new>

#include "heddle/detail/start.hpp"
#include "heddle/detail/wait.hpp"
#include "reclaim/endings.hpp"
#include "reclaim/last_words.hpp"
#include "reclaim/runner_watch.hpp"

namespace heddle::gc::detail {

namespace platform = heddle::detail::platform;

constinit finisher the_finisher;

void finisher::wake() noexcept {
  if (the_endings().due() == 0) return;
  if (!at_work_.begin()) return;
  the_runner.forget();
  if (!heddle::detail::start_if_running(run_all, this)) wake_thread();
}

void finisher::run_all(void* self) noexcept {
  name_endings_that_terminate();
  static_cast<finisher*>(self)->at_work_.run([] { return the_endings().run_one(); },
                                             [] { return the_endings().due() != 0; });
}

void finisher::wake_thread() noexcept {
  if (!has_thread_) {
    try {
      thread_ = platform::thread(main, this, "heddle-gc-ends");  // never joined, and in a child there is another
      has_thread_ = true;
    } catch (const std::exception& e) {
      std::fprintf(stderr, "heddle: destructors wait for a thread: %s\n", e.what());
      at_work_.give_up();  // the next cycle tries again
      return;
    }
  }
  wanted_.call();
}

void finisher::main(void* self) noexcept {
  auto& f = *static_cast<finisher*>(self);
  f.thread_mark_ = heddle::detail::caller();
  for (;;) {
    f.wanted_.await();
    f.wanted_.clear();
    run_all(self);
  }
}

void finisher::before_fork() noexcept { forks_in_ending_ = the_endings().runs_here(); }

void finisher::after_fork_in_child() noexcept {
  the_endings().after_fork_in_child(forks_in_ending_);
  if (!forks_in_ending_) at_work_.give_up();
  if (thread_mark_ == heddle::detail::caller()) return;  // the thread itself has forked
  has_thread_ = false;
  thread_mark_ = nullptr;
  wanted_.after_fork_in_child();
}

}  // namespace heddle::gc::detail
