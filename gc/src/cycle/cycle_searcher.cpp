// SPDX-License-Identifier: BSL-1.0
#include "cycle/cycle_searcher.hpp"

#include <cstdio>
#include <exception>

#include "count/search.hpp"
#include "heddle/detail/start.hpp"
#include "heddle/detail/wait.hpp"

namespace heddle::gc::detail {

namespace platform = heddle::detail::platform;

constinit cycle_searcher the_cycle_searcher;

void cycle_searcher::wake() noexcept {
  if (!at_work_.begin()) return;
  if (!heddle::detail::start_if_running(run_all, this)) wake_thread();
}

void cycle_searcher::run_all(void* self) noexcept {
  static_cast<cycle_searcher*>(self)->at_work_.run([] { return the_search.run_one(); },
                                                   [] { return the_search.is_due(); });
}

void cycle_searcher::wake_thread() noexcept {
  if (!has_thread_) {
    try {
      thread_ = platform::thread(main, this, "heddle-gc-count");  // never joined, and in a child there is another
      has_thread_ = true;
    } catch (const std::exception& e) {
      std::fprintf(stderr, "heddle: the search for cycles of counted objects waits for a thread: %s\n", e.what());
      at_work_.give_up();  // the next one that wakes it tries again
      return;
    }
  }
  wanted_.call();
}

void cycle_searcher::main(void* self) noexcept {
  auto& s = *static_cast<cycle_searcher*>(self);
  for (;;) {
    s.wanted_.await();
    s.wanted_.clear();
    run_all(self);
  }
}

void cycle_searcher::after_fork_in_child() noexcept {
  at_work_.give_up();
  has_thread_ = false;
  wanted_.after_fork_in_child();
}

}  // namespace heddle::gc::detail
