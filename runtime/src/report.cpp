// SPDX-License-Identifier: BSL-1.0
#include "report.hpp"

#include <cxxabi.h>
#include <execinfo.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>

#include "descriptor_text.hpp"
#include "fiber_waits.hpp"
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

#if !defined(HEDDLE_ASAN) && !defined(HEDDLE_TSAN)
struct captured_stack {
  std::array<void*, 24> frames;
  int depth = 0;
};

/// Runs on the parked fiber's own stack, so that the unwinder starts from its frames; then goes back.
switch_argument capture(switch_argument raw) {
  const transfer t(raw);
  auto* out = static_cast<captured_stack*>(t.data);
  out->depth = ::backtrace(out->frames.data(), static_cast<int>(out->frames.size()));
  switch_context(t.context, nullptr);
  std::abort();  // nobody resumes a fiber after the report
}

void print_stack(fiber& f) noexcept {
  captured_stack stack;
  switch_on_top(f.context, &stack, capture);
  constexpr int ours = 1;  // capture() itself
  if (stack.depth > ours) ::backtrace_symbols_fd(stack.frames.data() + ours, stack.depth - ours, STDERR_FILENO);
}
#else
void print_stack(fiber&) noexcept {}
#endif

void print_wait(const descriptor_wait& at) noexcept {
  std::array<char, 256> text;
  std::fprintf(stderr, ", waits %s descriptor %d (%s)%s",
               at.to == descriptor_wait::aim::read    ? "to read from"
               : at.to == descriptor_wait::aim::write ? "to write to"
                                                      : "to close",
               at.number, describe_descriptor(at.number, text.data(), text.size()),
               at.to == descriptor_wait::aim::close ? ", which others use" : "");
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
  std::array<char, 128> text;
  fibers.for_each([&](fiber& f) {
    if (++n > most) return;
    const bool ended = f.joiner.load(std::memory_order_relaxed) == ended_mark();
    const fiber_state s = ended ? fiber_state::ended : f.state.load(std::memory_order_relaxed);
    std::fprintf(stderr, "%s: %s", describe(f, text.data(), text.size()), state_name(s));
    if (const descriptor_wait* const at = waits_at_descriptor(f)) print_wait(*at);
    std::fputc('\n', stderr);
    if (s == fiber_state::parked) print_stack(f);
  });
  if (n > most) std::fprintf(stderr, "... and %zu more\n", n - most);
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

void scheduler::report_failure() noexcept {
  const thread_lock hold(lock_);
  if (failure_[0] == 0) return;
  std::fprintf(stderr,
               "heddle: main has thrown %s; run() rethrows it when the other fibers have ended (%zu are left)\n",
               failure_.data(), alive());
}

void scheduler::report_deadlock() noexcept {
  report_failure();
  std::fprintf(stderr, "heddle: all fibers are asleep: deadlock (%zu fibers)\n", alive());
  report_fibers(fibers);
  std::abort();
}

}  // namespace heddle::detail
