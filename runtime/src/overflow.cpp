// SPDX-License-Identifier: BSL-1.0
#include "overflow.hpp"

#include <execinfo.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include "fault_chain.hpp"
#include "report.hpp"
#include "scheduler.hpp"
#include "thread_stack.hpp"
#include "valgrind.hpp"

namespace heddle::detail {

void report_growth(const fiber& f, std::size_t need, std::size_t has, const char* why) noexcept {
  std::array<char, 128> who;
  std::fprintf(
      stderr,
      "heddle: stack overflow in %s: a frame of %zu bytes does not fit, its segments have %zu bytes already, and "
      "%s (HEDDLE=max_stack=...)\n",
      describe(f, who.data(), who.size()), need, has, why);
  std::array<void*, 32> frames;
  ::backtrace_symbols_fd(frames.data(), ::backtrace(frames.data(), static_cast<int>(frames.size())), STDERR_FILENO);
}

#if defined(HEDDLE_ASAN) || defined(HEDDLE_TSAN) || (defined(HEDDLE_MODEL) && HEDDLE_MODEL)

// The sanitizers report an overflow themselves, and know every stack; models have none.
void overflow_watch::begin() noexcept {}
void overflow_watch::end() noexcept {}
signal_stack::signal_stack() noexcept = default;
signal_stack::~signal_stack() = default;

#else

namespace {

/// Whether the address lies in the guard of the stack that f runs on.
bool below(const fiber* f, const char* address) noexcept {
  return f != nullptr && f->memory != nullptr && stack_pool::in_guard(*f->memory, address);
}

void report(const fiber& f, const char* address) noexcept {
  const stack& s = *f.memory;
  std::array<char, 128> who;
  std::array<char, 512> text;
  const int n =
      std::snprintf(text.data(), text.size(),
                    "heddle: stack overflow in %s: all %zu bytes from %p to %p are used, and the fault is %td "
                    "below; %s\n",
                    describe(f, who.data(), who.size()), s.size, static_cast<void*>(s.bottom),
                    static_cast<void*>(s.bottom + s.size), s.bottom - address,
                    s.limit == nullptr ? "give it a larger stack_size (HEDDLE=stack=...)"
                                       : "code not compiled with -fsplit-stack ran there: call it by "
                                         "heddle::on_large_stack");
  (void)!::write(STDERR_FILENO, text.data(), std::min(static_cast<std::size_t>(n), text.size() - 1));
  std::array<void*, 32> frames;
  ::backtrace_symbols_fd(frames.data(), ::backtrace(frames.data(), static_cast<int>(frames.size())), STDERR_FILENO);
}

void look(const siginfo_t& info) {
  const machine* const m = this_machine();
  const char* const address = static_cast<const char*>(info.si_addr);
  // A code above 0 comes from the kernel: somebody's kill() says nothing about an address.
  if (m != nullptr && info.si_code > 0 && below(m->current, address)) report(*m->current, address);
}

}  // namespace

void overflow_watch::begin() noexcept {
  void* frame = nullptr;
  ::backtrace(&frame, 1);  // the first one allocates
  fault_chain::begin(look);
}

void overflow_watch::end() noexcept { fault_chain::end(); }

signal_stack::signal_stack() noexcept {
  const std::size_t size = signal_stack_size();
  void* p = ::mmap(nullptr, size + gap_above_stacks(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return;  // an overflow then ends the process without a report
  close_gap_above(p, size);
  stack_t ours{};
  ours.ss_sp = memory_ = p;
  ours.ss_size = size;
  ::sigaltstack(&ours, nullptr);
}

signal_stack::~signal_stack() {
  if (memory_ == nullptr) return;
  stack_t now{};
  if (::sigaltstack(nullptr, &now) == 0 && now.ss_sp != memory_) return;  // a fiber has set another: ours stays mapped
  stack_t none{};
  none.ss_flags = SS_DISABLE;
  ::sigaltstack(&none, nullptr);
  // Valgrind (3.19) goes on to use a stack that has been disabled: a signal that comes until the thread has ended would
  // meet no memory there.
  if (under_valgrind()) return;
  ::munmap(memory_, signal_stack_size() + gap_above_stacks());
}

#endif

}  // namespace heddle::detail
