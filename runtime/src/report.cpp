// SPDX-License-Identifier: BSL-1.0
#include "report.hpp"

#include <cxxabi.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>

#include "descriptor_text.hpp"
#include "fiber_waits.hpp"
#include "heddle/detail/bounded_wait.hpp"
#include "heddle/detail/wait_description.hpp"
#include "report_frames.hpp"
#include "scheduler.hpp"

namespace heddle::detail {
namespace {

const char* state_name(fiber_state s) noexcept {
  switch (s) {
    case fiber_state::free: return "free";
    case fiber_state::fresh: return "not yet run";
    case fiber_state::starved: return "no memory for its stack";
    case fiber_state::runnable: return "runnable";
    case fiber_state::running: return "running";
    case fiber_state::parked: return "parked";
    case fiber_state::lending: return "joins a fiber on its own stack";
    case fiber_state::ended: return "ended, not joined";
    case fiber_state::parents: return "of the parent process";
  }
  return "?";
}

// --- one fiber's wait ---------------------------------------------------------------------------------------------

/// With which commit a fiber has parked, and what else than the primitive may end its wait.
struct parking {
  void (*commit)(void*);
  void* argument;
  bool deadline;
  bool stop;
};

parking parking_of(const fiber& f) noexcept {
  const auto how = static_cast<wait_argument>(reinterpret_cast<std::uintptr_t>(f.waits_at) % alignof(void*));
  if (how != wait_argument::unbounded) return {f.commit, f.waits_at, false, false};
  const bounded_waiter::wait w = from_argument<wait_argument::unbounded, bounded_waiter>(f.waits_at).parked_by();
  return {w.commit, w.argument, w.deadline, w.stop};
}

/// The fiber that runs on the stack of f, which joins it, or null. Of those on that stack it is the next one down.
const fiber* borrower_of(const fiber& f) noexcept {
  const fiber* next = nullptr;
  fiber_pool::instance().for_each([&](const fiber& g) {
    if (g.memory == f.memory && g.context < f.context && &g != &f && (next == nullptr || g.context > next->context))
      next = &g;
  });
  return next;
}

bool has_ended(const fiber& f) noexcept { return f.joiner.load(std::memory_order_relaxed) == ended_mark(); }

/// The one without whom f cannot go on, as far as it is known: a fiber, as caller() names it, or a plain thread.
const void* held_up_by(const fiber& f) noexcept {
  const fiber_state s = f.state.load(std::memory_order_relaxed);
  if (has_ended(f)) return nullptr;
  if (s == fiber_state::lending) return borrower_of(f);
  if (s != fiber_state::parked) return nullptr;
  const parking p = parking_of(f);
  const wait_description* const d = wait_description::of(p.commit);
  return d != nullptr && d->holder != nullptr ? d->holder(p.argument) : nullptr;
}

void say_descriptor(const descriptor_wait& at, wait_text& to) noexcept {
  std::array<char, 256> text;
  to.say("%s descriptor %d (%s)%s",
         at.to == descriptor_wait::aim::read    ? "to read from"
         : at.to == descriptor_wait::aim::write ? "to write to"
                                                : "to close",
         at.number, describe_descriptor(at.number, text.data(), text.size()),
         at.to == descriptor_wait::aim::close ? ", which others use" : "");
}

void say_wait(const fiber& f, wait_text& to) noexcept {
  if (const descriptor_wait* const at = waits_at_descriptor(f)) {
    to.say(", waits ");
    return say_descriptor(*at, to);
  }
  const parking p = parking_of(f);
  const wait_description* const d = wait_description::of(p.commit);
  if (d == nullptr) return;
  to.say(", waits ");
  d->describe(p.argument, to);
  if (p.deadline) to.say(", or its deadline");
  if (p.stop) to.say(", or a stop request");
}

void print_stack(const fiber& f) noexcept {
  std::array<void*, 24> frames;
  print_frames(frames.data(), frames_of(f, frames.data(), frames.size()));
}

void report(const fiber& f) noexcept {
  std::array<char, 128> name;
  const fiber_state s = has_ended(f) ? fiber_state::ended : f.state.load(std::memory_order_relaxed);
  wait_text text(f);
  if (s == fiber_state::parked) say_wait(f, text);
  if (s == fiber_state::lending)
    if (const fiber* const joined = borrower_of(f)) {
      text.say(": ");
      text.say_caller(joined);
    }
  std::fprintf(stderr, "%s: %s%s\n", describe(f, name.data(), name.size()), state_name(s), text.text());
  if (s == fiber_state::parked) print_stack(f);
}

// --- circles ------------------------------------------------------------------------------------------------------

/// The fiber for which f waits, and which waits itself.
const fiber* next_in_circle(const fiber& f) noexcept { return fiber_pool::instance().find(held_up_by(f)); }

/// Whether f waits for itself by way of others, and is the one of them with the lowest number.
bool begins_circle(const fiber& f) noexcept {
  constexpr int longest = 64;
  const fiber* at = next_in_circle(f);
  for (int i = 0; i != longest && at != nullptr && at != &f && at->id > f.id; ++i) at = next_in_circle(*at);
  return at == &f;
}

void report_circle(const fiber& f) noexcept {
  std::array<char, 128> name;
  std::fprintf(stderr, "heddle: in a circle: %s", describe(f, name.data(), name.size()));
  const fiber* at = &f;
  do {
    at = next_in_circle(*at);
    std::fprintf(stderr, " waits for %s%s", describe(*at, name.data(), name.size()), at == &f ? "\n" : ", which");
  } while (at != &f);
}

}  // namespace

const char* describe(const fiber& f, char* buffer, std::size_t size) noexcept {
  if (f.name != nullptr)
    std::snprintf(buffer, size, "fiber %llu \"%s\"", static_cast<unsigned long long>(f.id), f.name);
  else
    std::snprintf(buffer, size, "fiber %llu", static_cast<unsigned long long>(f.id));
  return buffer;
}

void report_fibers(fiber_pool& fibers) noexcept {
  constexpr std::size_t most = 100;
  std::size_t n = 0;
  fibers.for_each([&](fiber& f) {
    if (++n <= most) report(f);
  });
  if (n > most) std::fprintf(stderr, "... and %zu more\n", n - most);
  // Among more it would last too long; nobody reads so much either.
  if (constexpr std::size_t few = 10'000; n <= few)
    fibers.for_each([&](fiber& f) {
      if (begins_circle(f)) report_circle(f);
    });
}

void check_stack_size(std::size_t size, bool grows) {
  constexpr std::size_t least = std::size_t{16} << 10;
  constexpr std::size_t most = std::size_t{64} << 20;
  if (size < least || size > most)
    throw std::invalid_argument("heddle: stack_size " + std::to_string(size) + " is out of range: " +
                                (grows ? "1024, 2048, or " : "") + "16384 (16K) to 67108864 (64M) bytes");
}

void refuse_segments(bool compiled) {
  throw std::invalid_argument(
      compiled
          ? "heddle: stack_kind::segmented: the linker of this program has not raised the headroom of functions that "
            "call foreign code; link it with gold or lld (target heddle::segmented)"
          : "heddle: stack_kind::segmented: the fiber's function was not compiled for segmented stacks; link its "
            "target with heddle::segmented");
}

void forked_child_returned() noexcept {
  std::fputs("heddle: a fiber returned in a forked child, where its runtime does not exist; use exec or _exit there\n",
             stderr);
  ::_exit(70);
}

void report_join_of_parents(const fiber& f) noexcept {
  std::array<char, 128> who;
  std::fprintf(stderr, "heddle: %s is joined in a forked child, but runs in its parent only; use exec or _exit there\n",
               describe(f, who.data(), who.size()));
  ::_exit(70);
}

void describe_exception(char* buffer, std::size_t size) noexcept {
  const std::type_info* type = abi::__cxa_current_exception_type();
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> readable(
      type != nullptr ? abi::__cxa_demangle(type->name(), nullptr, nullptr, &status) : nullptr, std::free);
  const char* const name = readable ? readable.get() : "unknown";
  try {
    throw;
  } catch (const std::exception& e) {
    std::snprintf(buffer, size, "%s: %s", name, e.what());
  } catch (...) {
    std::snprintf(buffer, size, "%s", name);
  }
}

void report_escaped_exception() noexcept {
  std::array<char, 128> who{"a fiber"};
  if (machine* m = this_machine(); m != nullptr && m->current != nullptr) describe(*m->current, who.data(), who.size());
  std::array<char, 1024> what;
  describe_exception(what.data(), what.size());
  std::fprintf(stderr, "heddle: an exception escaped %s: %s\n", who.data(), what.data());
  std::terminate();
}

void lose_exception(const char* of, const char* since, const std::exception_ptr& lost) noexcept {
  on_home_stack([&] {
    lost_exception_policy what_then = lost_exception_policy::report;
    if (const visit s; s) what_then = s->settings.lost_exceptions;
    if (what_then == lost_exception_policy::ignore) return;
    std::array<char, 1024> text;
    try {
      std::rethrow_exception(lost);
    } catch (...) {
      describe_exception(text.data(), text.size());
    }
    std::fprintf(stderr, "heddle: an exception of %s is lost, since %s: %s\n", of, since, text.data());
    if (what_then == lost_exception_policy::fatal) std::terminate();
  });
}

char* name_of_running() noexcept {
  char* name = nullptr;
  on_home_stack([&] {
    std::array<char, 128> text{"a plain thread"};
    if (machine* m = this_machine(); m != nullptr && m->current != nullptr)
      describe(*m->current, text.data(), text.size());
    name = ::strdup(text.data());
  });
  return name;
}

void lose_exception_of(fiber& f, const char* since) noexcept {
  on_home_stack([&] {
    if (f.closure->failure == nullptr) return;
    const std::exception_ptr* const lost = f.closure->failure(f.closure_address());
    if (lost == nullptr) return;
    std::array<char, 128> who;
    lose_exception(describe(f, who.data(), who.size()), since, *lost);
  });
}

void scheduler::report_failure() noexcept {
  const thread_lock hold(lock_);
  if (failure_[0] == 0) return;
  std::fprintf(stderr,
               "heddle: main has thrown %s; run() rethrows it when the other fibers have ended (%zu are left)\n",
               failure_.data(), alive());
}

void scheduler::report_deadlock() noexcept {
  report_failure();
  const int threads = parked_threads();
  const std::size_t left = alive();
  std::fprintf(stderr, "heddle: all fibers are asleep: deadlock (%zu %s", left, left == 1 ? "fiber" : "fibers");
  if (threads > 0)
    std::fprintf(stderr, "; %d plain %s for them", threads, threads == 1 ? "thread waits" : "threads wait");
  std::fputs(")\n", stderr);
  report_fibers(fibers);
  std::abort();
}

}  // namespace heddle::detail
