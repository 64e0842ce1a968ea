// SPDX-License-Identifier: BSL-1.0
#include "heddle/detail/blocked_section.hpp"

#include <dlfcn.h>

#include "blocked_calls.hpp"
#include "heddle/detail/trusted.hpp"
#include "pinned.hpp"
#include "platform_services.hpp"
#include "scheduler.hpp"

// As in thread_stack.cpp.
#pragma weak dlsym

extern "C" {
/// Of heddle::blocking_calls, if that is linked or preloaded.
void heddle_serve_blocking_calls(const heddle::detail::blocked_calls* calls) __attribute__((weak));
}

namespace heddle::detail {

bool blocked_section::is_useful() noexcept {
  const machine* const m = this_machine();
  return m != nullptr && m->current != nullptr && !m->is_inside();
}

bool blocked_section::begin() noexcept {
  if (!is_useful()) return false;
  machine& m = *this_machine();
  // Here and not in is_useful(): it is a system call.
  if (m.thread_number.load(std::memory_order_relaxed) != platform::thread_number()) return false;
  bool given = false;
  on_home_stack([&] { given = m.sched.lend(m); });
  return given;
}

void blocked_section::end() noexcept {
  machine* const m = this_machine();
  if (m == nullptr) return;  // a forked child
  // Inside blocking() it goes on without: the outer section sees to a processor when it ends.
  if (m->call.load(std::memory_order_relaxed) != 0) return;
  on_home_stack([m] { m->sched.rejoin(*m); });
}

void look_for_blocking_calls() noexcept {
  static constexpr blocked_calls calls{&blocked_section::is_useful, &blocked_section::begin, &blocked_section::end};
  serve_blocking_calls serve = heddle_serve_blocking_calls;
  if (serve == nullptr && dlsym != nullptr)
    serve = reinterpret_cast<serve_blocking_calls>(::dlsym(RTLD_DEFAULT, "heddle_serve_blocking_calls"));
  if (serve != nullptr) serve(&calls);
}

}  // namespace heddle::detail
