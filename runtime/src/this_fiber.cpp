// SPDX-License-Identifier: BSL-1.0
#include "heddle/this_fiber.hpp"

#include <algorithm>

#include "heddle/blocking.hpp"
#include "heddle/detail/trusted.hpp"
#include "heddle/detail/wait_description.hpp"
#include "heddle/no_preemption.hpp"
#include "pinned.hpp"
#include "platform_services.hpp"
#include "scheduler.hpp"

namespace heddle {
namespace detail {
namespace {

/// The fiber that the caller is, or null on a plain thread.
fiber* running() noexcept {
  machine* m = this_machine();
  return m != nullptr ? m->current : nullptr;
}

/// On the stack of the fiber that sleeps.
struct sleep_wait {
  timer t;
  machine* here;

  static void begin(void* argument) {
    sleep_wait& s = *static_cast<sleep_wait*>(argument);
    s.here->sched.add_timer(*s.here, s.t);
  }
  static void describe(void* argument, wait_text& to) {
    const nanoseconds_t left = static_cast<const sleep_wait*>(argument)->t.deadline - platform::now();
    to.say("for time to pass (%lld ms)", static_cast<long long>(std::max(left, nanoseconds_t{0}) / 1'000'000));
  }
};
const wait_description sleeps(sleep_wait::begin, sleep_wait::describe);

}  // namespace

locals_base* locals() noexcept {
  const fiber* f = running();
  return f != nullptr ? f->locals : platform::thread_locals();
}

void set_locals(locals_base* of_caller) noexcept {
  if (fiber* f = running())
    f->locals = of_caller;
  else
    platform::set_thread_locals(of_caller);
}

nanoseconds_t monotonic_now() noexcept { return platform::now(); }

void sleep_until(nanoseconds_t deadline) noexcept {
  machine* m = suspendable();
  if (m == nullptr) {
    if (deadline > platform::now()) release_processor();
    atomic<std::uint32_t> never{0};
    while (platform::now() < deadline) platform::futex_wait(never, 0, deadline);
    return;
  }
  if (deadline <= platform::now()) return this_fiber::yield();
  sleep_wait sleep{{.deadline = deadline, .sleeper = m->current}, m};
  m->enter();
  m->sched.park(*m, sleep_wait::begin, &sleep);
}

blocking_section::blocking_section() noexcept {
  machine* m = this_machine();
  // Within another scope nothing changes: the fiber has not left the thread since.
  announced_ = m != nullptr && m->current != nullptr && m->call.load(std::memory_order_relaxed) == 0;
  if (!announced_) return;
  look_for_pins();
  if (++m->calls == 0) ++m->calls;
  m->call.store(m->calls, std::memory_order_relaxed);
  platform::light_barrier();  // the store above before the look at the nap; heavy half in monitor::sleep()
  m->sched.announce(*m);
}

blocking_section::~blocking_section() {
  if (!announced_) return;
  machine* m = this_machine();
  if (m == nullptr) return;  // a forked child
  m->call.store(0, std::memory_order_relaxed);
  if (m->enter() || is_pinned(*m))
    m->leave();
  else
    m->sched.regain(*m).leave();
}

}  // namespace detail

no_preemption::no_preemption() noexcept {
  if (detail::fiber* const f = detail::running()) ++f->unpreemptible;
}

no_preemption::~no_preemption() {
  if (detail::fiber* const f = detail::running()) --f->unpreemptible;
}

namespace this_fiber {

void yield() noexcept {
  detail::machine* m = detail::suspendable();
  if (m == nullptr) return detail::yield_thread();
  m->enter();
  m->sched.yield(*m);
}

bool is_fiber() noexcept { return detail::running() != nullptr; }

fiber_id get_id() noexcept {
  const detail::fiber* f = detail::running();
  return fiber_id(f != nullptr ? f->id : 0);
}

std::string_view name() noexcept {
  const detail::fiber* f = detail::running();
  return f != nullptr && f->name != nullptr ? std::string_view(f->name) : std::string_view();
}

[[gnu::noinline]] std::size_t stack_used() noexcept {
  const detail::fiber* f = detail::running();
  if (f == nullptr) return 0;
  const char* const here = static_cast<const char*>(__builtin_frame_address(0));
  std::size_t used = static_cast<std::size_t>(f->memory->bottom + f->memory->size - here);
  if (f->limit != nullptr)
    for (const detail::stack* s = f->memory->next; s != nullptr; s = s->next) used += s->size;
  return used;
}

void name(std::string_view n) {
  detail::fiber* f = detail::running();
  if (f == nullptr) return;
  detail::on_home_stack([&] {
    char* const copy = n.empty() ? nullptr : detail::copy_name(n);
    char* const old = f->name;
    f->name = copy;
    detail::free_name(old);
  });
}

}  // namespace this_fiber
}  // namespace heddle
