// SPDX-License-Identifier: BSL-1.0
//
// The operations of platform_model.hpp and data.hpp: each a scheduling point, then the operation,
// then a line in the trace.
#include "heddle/detail/platform.hpp"
#include "heddle/detail/locals.hpp"

#include <cstring>
#include <utility>

#include "model/data.hpp"
#include "model/model.hpp"
#include "scheduler.hpp"

namespace model {

plant planted = plant::none;

void fail(const char* text) noexcept { detail::scheduler::get().fail(text); }
void check(bool condition, const char* text) noexcept {
  if (!condition) fail(text);
}
unsigned current_thread() noexcept { return detail::scheduler::get().current().memory.id; }

namespace detail {
namespace {

/// Outside of an exploration: plain memory behind the head of the atomic.
std::uint64_t plain(const cell* c, unsigned size) noexcept {
  std::uint64_t bits = 0;
  std::memcpy(&bits, reinterpret_cast<const char*>(c) + sizeof(cell), size);
  return bits;
}
void set_plain(cell* c, unsigned size, std::uint64_t bits) noexcept {
  std::memcpy(reinterpret_cast<char*>(c) + sizeof(cell), &bits, size);
}
location& locate(scheduler& s, cell* c, unsigned size) {
  location* l = s.mem().find(c, size, s.current().memory);
  if (l == nullptr) [[unlikely]]
    s.fail(s.mem().problem());
  return *l;
}

}  // namespace

void cell_create(cell* c, unsigned size) noexcept {
  scheduler& s = scheduler::get();
  c->execution = 0;
  if (s.active()) s.mem().create(c, size, s.current().memory);
}

void cell_destroy(cell* c) noexcept {
  scheduler& s = scheduler::get();
  if (s.active()) s.mem().destroy(c);
}

std::uint64_t cell_load(cell* c, unsigned size, std::memory_order order) noexcept {
  scheduler& s = scheduler::get();
  if (!s.active()) return plain(c, size);
  s.point();
  location& l = locate(s, c, size);
  const std::uint64_t value = s.mem().load(l, s.current().memory, order);
  s.record(operation::load, &l, order, value, value != memory::newest(l), __builtin_return_address(0));
  return value;
}

void cell_store(cell* c, unsigned size, std::uint64_t value, std::memory_order order) noexcept {
  scheduler& s = scheduler::get();
  if (!s.active()) return set_plain(c, size, value);
  s.point();
  location& l = locate(s, c, size);
  s.mem().store(l, s.current().memory, value, size, order);
  s.wrote();
  s.record(operation::store, &l, order, value, 0, __builtin_return_address(0));
}

std::uint64_t cell_rmw(cell* c, unsigned size, rmw_op op, std::uint64_t operand, std::memory_order order) noexcept {
  scheduler& s = scheduler::get();
  if (!s.active()) {
    const std::uint64_t old = plain(c, size);
    set_plain(c, size, apply(op, old, operand));
    return old;
  }
  s.point();
  location& l = locate(s, c, size);
  const std::uint64_t old = s.mem().rmw(l, s.current().memory, op, operand, size, order);
  s.wrote();
  s.record(operation::rmw, &l, order, old, memory::newest(l), __builtin_return_address(0));
  return old;
}

bool cell_cas(cell* c, unsigned size, std::uint64_t& expected, std::uint64_t desired, std::memory_order success,
              std::memory_order failure, bool weak) noexcept {
  scheduler& s = scheduler::get();
  if (!s.active()) {
    const std::uint64_t old = plain(c, size);
    if (old == expected) set_plain(c, size, desired);
    const bool done = old == expected;
    expected = old;
    return done;
  }
  s.point();
  location& l = locate(s, c, size);
  const std::uint64_t wanted = expected;
  const bool done = s.mem().cas(l, s.current().memory, expected, desired, size, success, failure, weak);
  if (done) s.wrote();
  s.record(done ? operation::cas_done : operation::cas_failed, &l, done ? success : failure, expected,
           done ? desired : wanted, __builtin_return_address(0));
  return done;
}

void cell_futex_wait(cell* word, std::uint32_t expected, std::int64_t deadline) noexcept {
  scheduler& s = scheduler::get();
  if (s.active()) s.sleep(word, expected, deadline, __builtin_return_address(0));
}

void cell_futex_wake(cell* word, unsigned count) noexcept {
  scheduler& s = scheduler::get();
  if (s.active()) s.wake(word, count, __builtin_return_address(0));
}

void access_history::write(const void* object) noexcept {
  (void)object;
  scheduler& s = scheduler::get();
  if (!s.active()) return;
  memory_thread& self = s.current().memory;
  if (execution_ != s.mem().execution()) {
    *this = access_history{};
    execution_ = s.mem().execution();
  }
  const clock& happened = self.known.happened;
  if (written_at_ > happened.at[writer_]) fail("data race: a write is not ordered after another write");
  for (unsigned i = 0; i < max_threads; ++i)
    if (read_at_[i] > happened.at[i]) fail("data race: a write is not ordered after a read");
  memory::note_access(self);
  written_at_ = self.epoch;
  writer_ = self.id;
  initialised_ = true;
}

void access_history::read(const void* object, from_before earlier) noexcept {
  (void)object;
  scheduler& s = scheduler::get();
  if (!s.active()) return;
  memory_thread& self = s.current().memory;
  if (execution_ != s.mem().execution()) {
    *this = access_history{};
    execution_ = s.mem().execution();
    initialised_ = earlier == from_before::counts;
  }
  if (!initialised_) fail("data read before it was written");
  if (written_at_ > self.known.happened.at[writer_]) fail("data race: a read is not ordered after a write");
  memory::note_access(self);
  read_at_[self.id] = self.epoch;
}

}  // namespace detail
}  // namespace model

namespace heddle::detail::platform {

using model::detail::operation;
using model::detail::scheduler;

void fence(std::memory_order order) noexcept {
  scheduler& s = scheduler::get();
  if (!s.active()) return;
  s.point();
  s.mem().fence(s.current().memory, order);
  s.record(operation::fence, nullptr, order, 0, 0, __builtin_return_address(0));
}

void heavy_barrier() noexcept {
  scheduler& s = scheduler::get();
  if (!s.active()) return;
  s.point();
  s.record(operation::heavy_barrier, nullptr, std::memory_order_seq_cst, 0, 0, __builtin_return_address(0));
  s.heavy_barrier();
}

nanoseconds_t now() noexcept {
  scheduler& s = scheduler::get();
  if (!s.active()) return 0;
  s.point();
  const nanoseconds_t t = s.now();
  s.record(operation::now, nullptr, std::memory_order_relaxed, static_cast<std::uint64_t>(t), 0,
           __builtin_return_address(0));
  return t;
}

void cpu_relax() noexcept {
  scheduler& s = scheduler::get();
  if (!s.active()) return;
  s.record(operation::relax, nullptr, std::memory_order_relaxed, 0, 0, __builtin_return_address(0));
  s.spin();
}

void yield_thread() noexcept { cpu_relax(); }

thread::thread(void (*f)(void*), void* arg, const char* name)
    : handle_(scheduler::get().start_thread(f, arg, name) + 1UL) {}

void thread::join() noexcept {
  scheduler::get().join_thread(static_cast<unsigned>(handle_ - 1));
  handle_ = 0;
}

bool thread::try_join() noexcept {
  if (!scheduler::get().has_ended(static_cast<unsigned>(handle_ - 1))) return false;
  join();
  return true;
}

void* thread_slot() noexcept { return scheduler::get().active() ? scheduler::get().current().slot : nullptr; }
void set_thread_slot(void* value) noexcept {
  if (scheduler::get().active()) scheduler::get().current().slot = value;
}
std::uint8_t thread_note() noexcept { return scheduler::get().active() ? scheduler::get().current().note : 0; }
void note_on_thread(std::uint8_t n) noexcept {
  if (scheduler::get().active()) scheduler::get().current().note = n;
}
bool holds_calls() noexcept { return scheduler::get().active() && scheduler::get().current().holds_calls; }
bool hold_calls(bool now) noexcept {
  return scheduler::get().active() && std::exchange(scheduler::get().current().holds_calls, now);
}
}  // namespace heddle::detail::platform
unsigned model::detail::running_thread() noexcept { return model::current_thread(); }
namespace heddle::detail::platform {
const void* this_thread_mark() noexcept {
  static constexpr char outside = 0;
  return scheduler::get().active() ? static_cast<const void*>(&scheduler::get().current().slot) : &outside;
}

unsigned cpu_number() noexcept {
  if (!scheduler::get().active()) return 0;
  // That of the thread, but one time in four, by what has happened so far.
  const bool moved = (scheduler::get().steps() * 0x9E37'79B9'7F4A'7C15U) >> 62 == 0;
  return model::current_thread() + moved;
}

thread_clock this_thread_clock() noexcept { return static_cast<thread_clock>(model::current_thread()); }
nanoseconds_t cpu_time(thread_clock clock) noexcept {
  scheduler& s = scheduler::get();
  s.point();
  return s.cpu_time(static_cast<unsigned>(clock));
}

void preempt_point() noexcept {
  scheduler& s = scheduler::get();
  if (!s.active()) return;
  s.pass_time(100'000);
  s.point();
  s.record(operation::preempt, nullptr, std::memory_order_relaxed, 0, 0, __builtin_return_address(0));
}

// What the runtime asks of the platform beside: runtime/src/platform_services.hpp.
void describe_thread_stack(char*& bottom, std::size_t& size, void*& tsan_fiber) noexcept {
  bottom = nullptr;
  size = 0;
  tsan_fiber = nullptr;
}
locals_base* thread_locals() noexcept { return nullptr; }
void set_thread_locals(locals_base*) noexcept {}
void at_fork(void (*)(), void (*)(), void (*)()) noexcept {}
int thread_number() noexcept { return scheduler::get().active() ? static_cast<int>(model::current_thread()) + 1 : 0; }
std::size_t process_threads() noexcept { return scheduler::get().count_threads(); }
bool is_main_thread() noexcept { return scheduler::get().active() && model::current_thread() == 0; }
void at_end_of_thread(void (*)() noexcept) noexcept {}
bool main_thread_gone() noexcept { return false; }
void stay_loaded() noexcept {}
bool handler_may_come(int) noexcept { return false; }
bool called_by_exit() noexcept { return false; }
sigset_t blocked_signals() noexcept { return {}; }
void block_signals(const sigset_t&) noexcept {}
void unblock_signal(int) noexcept {}
void block_all_signals() noexcept {}
void interrupt_nobody() noexcept {}
void drop_pages(void* at, std::size_t bytes) noexcept { std::memset(at, 0, bytes); }

}  // namespace heddle::detail::platform
