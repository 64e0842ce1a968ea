// SPDX-License-Identifier: BSL-1.0
#include "scheduler.hpp"

#include <cxxabi.h>
#include <sys/mman.h>

#include <bit>
#include <cstdio>
#include <cstring>
#include <new>
#include <system_error>

namespace model::detail {
namespace {

using boost::context::detail::jump_fcontext;
using boost::context::detail::make_fcontext;
using boost::context::detail::transfer_t;

exception_state& cxa_state() noexcept {
  static auto* const state = reinterpret_cast<exception_state*>(abi::__cxa_get_globals());
  return *state;
}

/// A stack with a guard page below it. Never freed: threads of later executions use it again.
void* make_stack() {
  constexpr std::size_t guard = 4096;
  void* p = mmap(nullptr, model_thread::stack_size + guard, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) throw std::bad_alloc();
  mprotect(p, guard, PROT_NONE);
  return static_cast<char*>(p) + guard + model_thread::stack_size;
}

}  // namespace

scheduler& scheduler::get() noexcept {
  static scheduler the;
  return the;
}

void scheduler::begin(explorer& e, const options& o) noexcept {
  explorer_ = &e;
  options_ = o;
}

void scheduler::prepare(model_thread& t, void (*f)(void*), void* arg, const char* name) {
  if (t.stack_top == nullptr) t.stack_top = make_stack();
  t.context = make_fcontext(t.stack_top, model_thread::stack_size, &scheduler::enter);
  t.exceptions = {};
  t.slot = nullptr;
  t.note = 0;
  t.holds_calls = false;
  t.at = model_thread::state::running;
  std::snprintf(t.name, sizeof t.name, "%s", name != nullptr ? name : "thread");
  t.f = f;
  t.arg = arg;
  t.deadline = model_thread::never;
  t.steps = 0;
  ready_ |= bit(t);
  explorer_->created(t.memory.id);
}

bool scheduler::execute(body f, void* context) {
  memory_.begin_execution(options_.weak_memory, ++execution_);
  trace_.clear();
  for (unsigned i = 0; i < max_threads; ++i) {
    threads_[i].memory = memory_thread{};
    threads_[i].memory.id = i;
    threads_[i].at = model_thread::state::unused;
  }
  ready_ = yielded_ = 0;
  steps_ = 0;
  vain_rounds_ = 0;
  now_ = first_moment;
  next_deadline_ = model_thread::never;
  failed_ = false;
  prepare(threads_[0], f, context, "main");
  current_ = &threads_[0];
  jump(root_, threads_[0]);
  current_ = nullptr;
  return !failed_;
}

void scheduler::jump(model_thread& from, model_thread& to) noexcept {
  from.exceptions = cxa_state();
  cxa_state() = to.exceptions;
  const transfer_t t = jump_fcontext(to.context, &from);
  static_cast<model_thread*>(t.data)->context = t.fctx;
}

void scheduler::switch_to(model_thread& next) noexcept {
  model_thread& from = *current_;
  if (&from == &next) return;
  current_ = &next;
  jump(from, next);
}

void scheduler::enter(transfer_t from) noexcept {
  static_cast<model_thread*>(from.data)->context = from.fctx;
  scheduler& s = get();
  s.current_->f(s.current_->arg);
  if (s.current_ == &s.threads_[0]) s.finish_execution();
  s.finish_thread();
}

void scheduler::fail(const std::string& message) noexcept {
  failed_ = true;
  failure_ = message;
  // The stacks are abandoned as they are: the process ends after a failure.
  jump(*current_, root_);
  __builtin_unreachable();
}

void scheduler::pass_step() {
  if (++steps_ > options_.max_steps)
    fail("livelock: " + std::to_string(options_.max_steps) + " scheduling points and no end");
  ++current_->steps;
  if (steps_ % yield_steps == 0) yielded_ = 0;
  now_ += step_time;
  if (next_deadline_ == model_thread::never) [[likely]]
    return;
  if (now_ >= next_deadline_)
    expire_deadlines();
  else if (explorer_->choose(choice::early_timeout, 2) != 0)
    expire_next();
}

model_thread& scheduler::choose_next(bool yielded) {
  thread_set candidates = ready_ & ~yielded_;
  if (candidates == 0) {
    // All block, or spin and nothing comes of it: only time can help those who wait for it.
    if (next_deadline_ != model_thread::never && (ready_ == 0 || ++vain_rounds_ > spin_patience)) expire_next();
    yielded_ = 0;
    candidates = ready_;
    if (candidates == 0) report_deadlock();
  }
  model_thread& next = threads_[explorer_->pick(candidates, current_->memory.id, yielded)];
  yielded_ &= ~bit(next);
  return next;
}

void scheduler::spin() {
  now_ += spin_time;
  pass_step();
  explorer_->spins(current_->memory.id);
  yielded_ |= bit(*current_);
  switch_to(choose_next(true));
}

/// Runs others until the caller is ready again.
void scheduler::block() { switch_to(choose_next(false)); }

void scheduler::sleep(cell* word, std::uint32_t expected, std::int64_t deadline, const void* caller) {
  point();
  model_thread& self = *current_;
  location* l = memory_.find(word, sizeof expected, self.memory);
  if (l == nullptr) fail(memory_.problem());
  // The kernel compares with the newest value, and takes it no further.
  if (memory::newest(*l) != expected) {
    record(operation::futex_return, l, std::memory_order_relaxed, memory::newest(*l), 0, caller);
    return;
  }
  record(operation::futex_sleep, l, std::memory_order_relaxed, expected, 0, caller);
  self.at = model_thread::state::sleeping;
  self.word = word;
  self.word_number = l->number;
  self.deadline = deadline;
  if (deadline > now_ && explorer_->choose(choice::spurious_wake, 2) == 0) ready_ &= ~bit(self);
  find_deadline();
  block();
  self.at = model_thread::state::running;
  self.word = nullptr;
  self.deadline = model_thread::never;
  find_deadline();
  trace_.add({static_cast<std::uint8_t>(self.memory.id), operation::futex_return, 0, self.word_number, 0, 0, caller});
}

void scheduler::wake_one(model_thread& t) noexcept {
  t.word = nullptr;
  t.deadline = model_thread::never;
  ready_ |= bit(t);
}

void scheduler::wake(const cell* word, unsigned count, const void* caller) {
  point();
  thread_set sleepers = 0;
  for (const model_thread& t : threads_)
    if (t.at == model_thread::state::sleeping && t.word == word) sleepers |= bit(t);
  trace_.add({static_cast<std::uint8_t>(current_->memory.id), operation::futex_wake, 0,
              word->execution == execution_ ? word->record + 1 : 0, static_cast<std::uint64_t>(std::popcount(sleepers)),
              0, caller});
  for (; count != 0 && sleepers != 0; --count) {
    const auto n = static_cast<unsigned>(std::popcount(sleepers));
    thread_set rest = sleepers;
    for (unsigned skip = n > 1 ? explorer_->choose(choice::waiter, n) : 0; skip != 0; --skip) rest &= rest - 1;
    model_thread& t = threads_[std::countr_zero(rest)];
    sleepers &= ~bit(t);
    wake_one(t);
  }
  find_deadline();
}

void scheduler::find_deadline() noexcept {
  next_deadline_ = model_thread::never;
  for (const model_thread& t : threads_)
    if (t.at == model_thread::state::sleeping && (ready_ & bit(t)) == 0 && t.deadline < next_deadline_)
      next_deadline_ = t.deadline;
}

void scheduler::expire_deadlines() noexcept {
  for (const model_thread& t : threads_)
    if (t.at == model_thread::state::sleeping && t.deadline <= now_) ready_ |= bit(t);
  find_deadline();
}

void scheduler::expire_next() noexcept {
  vain_rounds_ = 0;
  if (now_ < next_deadline_) now_ = next_deadline_;
  trace_.add({static_cast<std::uint8_t>(current_->memory.id), operation::time, 0, 0, static_cast<std::uint64_t>(now_),
              0, nullptr});
  expire_deadlines();
}

std::int64_t scheduler::now() noexcept {
  pass_time(explorer_->tick());
  return now_;
}

void scheduler::pass_time(std::int64_t ns) noexcept {
  now_ += ns;
  if (now_ >= next_deadline_) expire_deadlines();
}

void scheduler::heavy_barrier() {
  memory_.fence(current_->memory, std::memory_order_seq_cst);
  for (model_thread& t : threads_) {
    if (&t == current_ || t.memory.epoch == 0) continue;
    // The others go on meanwhile; those which block or have ended do nothing that could come in
    // between.
    if (t.at == model_thread::state::running) point();
    memory_.fence(t.memory, std::memory_order_seq_cst);
  }
  point();
  memory_.fence(current_->memory, std::memory_order_seq_cst);
}

unsigned scheduler::start_thread(void (*f)(void*), void* arg, const char* name) {
  point();
  if (explorer_->choose(choice::thread_failure, 2) != 0)
    throw std::system_error(std::make_error_code(std::errc::resource_unavailable_try_again), "model thread");
  unsigned id = 0;
  while (id < max_threads && threads_[id].at != model_thread::state::unused) ++id;
  if (id == max_threads) fail("more threads at a time than the explorer has");
  memory::spawn(current_->memory, threads_[id].memory);
  prepare(threads_[id], f, arg, name);
  record(operation::start, nullptr, std::memory_order_relaxed, id, 0, nullptr);
  return id;
}

bool scheduler::has_ended(unsigned id) {
  point();
  return threads_[id].at == model_thread::state::ended;
}

void scheduler::join_thread(unsigned id) {
  point();
  model_thread& other = threads_[id];
  if (other.at == model_thread::state::unused) fail("join of a thread that is not there");
  if (other.at != model_thread::state::ended) {
    current_->at = model_thread::state::joining;
    current_->awaited = id;
    ready_ &= ~bit(*current_);
    block();
    current_->at = model_thread::state::running;
  }
  memory::join(current_->memory, other.memory);
  other.at = model_thread::state::unused;
  record(operation::join, nullptr, std::memory_order_relaxed, id, 0, nullptr);
}

std::size_t scheduler::count_threads() const noexcept {
  std::size_t n = 0;
  for (const model_thread& t : threads_) n += t.at != model_thread::state::unused && t.at != model_thread::state::ended;
  return n;
}

void scheduler::finish_thread() {
  record(operation::end, nullptr, std::memory_order_relaxed, 0, 0, nullptr);
  model_thread& self = *current_;
  self.at = model_thread::state::ended;
  ready_ &= ~bit(self);
  wrote();
  for (model_thread& t : threads_)
    if (t.at == model_thread::state::joining && t.awaited == self.memory.id) ready_ |= bit(t);
  block();
  __builtin_unreachable();
}

void scheduler::finish_execution() {
  std::string left;
  for (unsigned i = 1; i < max_threads; ++i)
    if (threads_[i].at != model_thread::state::unused) left += "\n  " + describe(threads_[i]);
  if (!left.empty()) fail("threads not joined at the end:" + left);
  jump(*current_, root_);
  __builtin_unreachable();
}

void scheduler::report_deadlock() {
  std::string text = "deadlock: every thread is blocked";
  for (const model_thread& t : threads_)
    if (t.at != model_thread::state::unused) text += "\n  " + describe(t);
  fail(text);
}

std::string scheduler::describe(const model_thread& t) const {
  std::string text = std::to_string(t.memory.id) + " " + t.name + ": ";
  switch (t.at) {
    case model_thread::state::unused: return text + "unused";
    case model_thread::state::running: return text + "running";
    case model_thread::state::sleeping: return text + "in futex_wait on #" + std::to_string(t.word_number);
    case model_thread::state::joining: return text + "joining " + threads_[t.awaited].name;
    case model_thread::state::ended: return text + "ended, not joined";
  }
  return text;
}

std::string scheduler::format_trace(std::size_t most) const {
  return trace_.format([](unsigned id) -> const char* { return get().threads_[id].name; }, most);
}

}  // namespace model::detail
