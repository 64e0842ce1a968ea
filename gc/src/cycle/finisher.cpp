// SPDX-License-Identifier: BSL-1.0
#include "cycle/finisher.hpp"

#include <cstdio>
#include <exception>

#include "reclaim/endings.hpp"

namespace heddle::gc::detail {

namespace platform = heddle::detail::platform;

constinit finisher the_finisher;

void finisher::wake() noexcept {
  if (the_endings().due() == 0) return;
  {
    const heddle::detail::thread_lock hold(lock_);
    if (!has_thread_) {
      try {
        static platform::thread thread;
        thread = platform::thread(main, this, "heddle-gc-ends");
        has_thread_ = true;
      } catch (const std::exception& e) {
        std::fprintf(stderr, "heddle: no thread runs destructors: %s\n", e.what());
      }
    }
  }
  // release: so that what is due is seen; acquire half in main().
  wanted_.store(1, std::memory_order_release);
  platform::futex_wake(wanted_, 1);
}

void finisher::main(void* self) noexcept {
  auto& f = *static_cast<finisher*>(self);
  for (;;) {
    // acquire: so that what is due is seen; release half in wake().
    while (f.wanted_.load(std::memory_order_acquire) == 0) platform::futex_wait(f.wanted_, 0);
    f.wanted_.store(0, std::memory_order_relaxed);
    while (the_endings().run_one()) {
    }
  }
}

}  // namespace heddle::gc::detail
