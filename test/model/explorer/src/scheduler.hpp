// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/context/detail/fcontext.hpp>
#include <cstdint>
#include <limits>
#include <string>

#include "memory.hpp"
#include "strategy.hpp"
#include "trace.hpp"

namespace model::detail {

/// What the C++ runtime keeps per kernel thread about exceptions; here per model thread.
struct exception_state {
  void* caught = nullptr;
  unsigned int uncaught = 0;
};

/// A context that the program under test takes for a kernel thread. It may switch stacks as it
/// likes: what is saved is wherever it has got to.
struct model_thread {
  enum class state : std::uint8_t {
    unused,
    running,   ///< or ready to
    sleeping,  ///< in futex_wait
    joining,   ///< waits for the end of another
    ended,     ///< waits to be joined
  };
  static constexpr std::size_t stack_size = 256 * 1024;
  static constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();

  memory_thread memory;
  boost::context::detail::fcontext_t context = nullptr;
  exception_state exceptions;
  void* stack_top = nullptr;  // kept when the thread ends
  void* slot = nullptr;       // platform::thread_slot()
  std::uint8_t note = 0;      // platform::thread_note()
  bool holds_calls = false;   // platform::holds_calls()
  state at = state::unused;
  char name[16] = {};
  void (*f)(void*) = nullptr;
  void* arg = nullptr;
  const void* word = nullptr;  // sleeping: on this address
  std::uint32_t word_number = 0;
  std::int64_t deadline = never;  // sleeping
  unsigned awaited = 0;           // joining
  std::uint64_t steps = 0;
};

/// The one kernel thread of an exploration: runs one model thread at a time and asks the strategy
/// which.
///
/// 1. A thread is in ready_ iff it may be chosen: it runs, or it sleeps and may return for another reason than a wake
///    (its deadline, or no reason at all). It stays in the queue of its word until it does run, and may use up a wake
///    in the meantime, as in the kernel.
/// 2. point() is called before each operation; the operation itself is done without interruption
/// after it.
class scheduler {
 public:
  static scheduler& get() noexcept;

  void begin(explorer& e, const options& o) noexcept;
  /// One execution. False: it failed, see failure().
  bool execute(body f, void* context);
  bool active() const noexcept { return current_ != nullptr; }
  const std::string& failure() const noexcept { return failure_; }
  std::uint64_t steps() const noexcept { return steps_; }
  std::string format_trace(std::size_t most) const;

  [[noreturn]] void fail(const std::string& message) noexcept;

  model_thread& current() noexcept { return *current_; }
  memory& mem() noexcept { return memory_; }
  trace& log() noexcept { return trace_; }
  void record(operation op, const location* l, std::memory_order order, std::uint64_t value, std::uint64_t second,
              const void* caller) noexcept {
    trace_.add({static_cast<std::uint8_t>(current_->memory.id), op, static_cast<std::uint8_t>(order),
                l != nullptr ? l->number : 0, value, second, caller});
  }

  /// Another thread may run here.
  void point() {
    pass_step();
    const thread_set others = ready_ & ~yielded_;
    if (others == bit(*current_)) [[likely]]
      return;
    switch_to(choose_next(false));
  }
  /// The caller is in a loop that waits for somebody else.
  void spin();
  /// Somebody wrote: those who spin may look again.
  void wrote() noexcept { yielded_ = vain_rounds_ = 0; }

  void sleep(cell* word, std::uint32_t expected, std::int64_t deadline, const void* caller);
  void wake(const cell* word, unsigned count, const void* caller);
  void heavy_barrier();
  unsigned start_thread(void (*f)(void*), void* arg, const char* name);
  void join_thread(unsigned id);
  bool has_ended(unsigned id);
  std::int64_t now() noexcept;
  void pass_time(std::int64_t ns) noexcept;
  std::size_t count_threads() const noexcept;
  std::int64_t cpu_time(unsigned id) const noexcept { return static_cast<std::int64_t>(threads_[id].steps) * 1000; }

 private:
  static constexpr std::int64_t first_moment = 1'000'000'000;
  static constexpr std::int64_t step_time = 20;
  static constexpr std::int64_t spin_time = 100;
  /// Now and then who has yielded may go on although nobody has written: the others may be in an
  /// endless loop.
  static constexpr unsigned yield_steps = 64;
  /// Rounds in which all who are ready spin, after which time leaps to the next deadline.
  static constexpr unsigned spin_patience = 500;

  static thread_set bit(const model_thread& t) noexcept { return thread_set{1} << t.memory.id; }
  static void enter(boost::context::detail::transfer_t from) noexcept;
  void prepare(model_thread& t, void (*f)(void*), void* arg, const char* name);
  void pass_step();
  model_thread& choose_next(bool yielded);
  void switch_to(model_thread& next) noexcept;
  void jump(model_thread& from, model_thread& to) noexcept;
  void block();
  void finish_thread();
  void finish_execution();
  void wake_one(model_thread& t) noexcept;
  void expire_deadlines() noexcept;
  void find_deadline() noexcept;
  void expire_next() noexcept;
  [[noreturn]] void report_deadlock();
  std::string describe(const model_thread& t) const;

  explorer* explorer_ = nullptr;
  options options_;
  struct forward_chooser final : chooser {
    explicit forward_chooser(scheduler& s) noexcept : owner(s) {}
    unsigned choose(choice kind, unsigned n) override { return owner.explorer_->choose(kind, n); }
    scheduler& owner;
  } chooser_{*this};
  memory memory_{chooser_};
  trace trace_;

  model_thread threads_[max_threads];
  model_thread root_;  // the loop over the executions
  model_thread* current_ = nullptr;
  thread_set ready_ = 0;
  thread_set yielded_ = 0;
  unsigned vain_rounds_ = 0;
  std::uint64_t steps_ = 0;
  std::uint32_t execution_ = 0;
  std::int64_t now_ = first_moment;
  std::int64_t next_deadline_ = model_thread::never;
  bool failed_ = false;
  std::string failure_;
};

}  // namespace model::detail
