// SPDX-License-Identifier: BSL-1.0
//
// The stacks of fibers, for a collector that looks for addresses in them while the program runs.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "heddle/detail/config.hpp"

namespace heddle::detail {

class fiber;

/// Is told of memory in which addresses may be.
class word_visitor {
 public:
  /// Each aligned word in [from, to); both are aligned to 8, and from <= to.
  virtual void words(const void* from, const void* to) noexcept = 0;
  /// Whether words that it was told of since the last call must be told of in each scan, though they do not change: no
  /// stack is passed over then.
  virtual bool wants_again() noexcept { return false; }

 protected:
  ~word_visitor() = default;
};

/// Has a scan put off fibers that wait for what nothing has reached.
class wait_judge {
 public:
  /// Whether a primitive at `place`, any number, lies in an object of the collector's that nothing has reached.
  virtual bool is_unreached(const void* place) noexcept = 0;
  /// f, which waits there, is put off. It stands still during the call, so id_of() and such may be asked.
  virtual void note_put_off(const fiber& f, const void* place) noexcept = 0;

 protected:
  ~wait_judge() = default;
};
HEDDLE_EXPORT std::uint64_t id_of(const fiber& f) noexcept;
/// Null if it has none.
HEDDLE_EXPORT const char* name_of(const fiber& f) noexcept;
/// Addresses in the functions in which a suspended fiber stands, the innermost first, at most so many; returns how
/// many. The unwinder may take locks of the dynamic linker.
HEDDLE_EXPORT std::size_t frames_of(const fiber& f, void** to, std::size_t most) noexcept;

/// What a signal handler has interrupted.
enum class interrupted_kind : std::uint8_t {
  plain_thread,  ///< a thread that runs no fibers
  idle,          ///< one that does, but has none now: nothing of the program is on its stack
  busy,          ///< the runtime, or a fiber on a stack that is not its own: to be asked again
  fiber,         ///< a fiber in user code
};
struct interrupted {
  interrupted_kind kind;
  fiber* running;      ///< of the last kind
  const void* caught;  ///< then also: the innermost exception that it has caught
};
/// Called by a signal handler, with the stack pointer of what it has interrupted. A fiber stays where it is until the
/// handler returns. Async-signal-safe.
HEDDLE_EXPORT interrupted what_is_interrupted(std::uintptr_t stack_pointer) noexcept;

/// Whether p lies on the stack that the calling fiber runs on: for a stack that grows, in its present segment. False on
/// a plain thread.
HEDDLE_EXPORT bool on_stack_of_fiber(const void* p) noexcept;

/// Whether p lies in memory of fibers: on any stack, in use or not, or in a closure; or in an exception that the caller
/// has caught. For debugging: O(fibers), under locks of the pools.
HEDDLE_EXPORT bool is_memory_of_fibers(const void* p) noexcept;

/// The calling thread's word for the collector: whether its stack has been scanned, see mark_thread().
HEDDLE_EXPORT std::atomic<std::uint8_t>& thread_scan_mark() noexcept;

/// Tells of the objects of caught exceptions, those whose handlers have not ended: from the first word of what
/// __cxa_get_globals() gives, on a thread that stands still. Takes no lock, but that of malloc_usable_size(), if it has
/// one.
HEDDLE_EXPORT void visit_caught_exceptions(word_visitor& v, const void* innermost) noexcept;

/// Tells of a fiber that a signal handler has stopped with that stack pointer: its stack and its closure; not its
/// registers.
HEDDLE_EXPORT void visit_interrupted_fiber(word_visitor& v, fiber& f, std::uintptr_t stack_pointer) noexcept;
/// In a child that was forked by a fiber: tells of the stack that the fiber stood on, if the pointer lies there; else
/// false.
HEDDLE_EXPORT bool visit_forked_stack(word_visitor& v, std::uintptr_t stack_pointer) noexcept;
/// Kernel threads that run fibers do not block the signal that this function names, even if the program blocks all:
/// those made from now on. They call it when they begin. Once, before the first runtime.
HEDDLE_EXPORT void let_through(int (*signal)() noexcept) noexcept;

/// Has the runtime keep its blocks whole over forks, from the first call on. What pthread_atfork() is given later is
/// called before the runtime takes its locks for a fork. From any thread.
HEDDLE_EXPORT void heed_forks() noexcept;

/// How a scan treats fibers that stand still from one scan to the next. A frozen fiber is suspended since a scan
/// has read its stack, and each write into the stack since then is known.
enum class standing_fibers : std::uint8_t {
  scanned,      ///< scans them as all others; none is frozen afterwards
  frozen,       ///< scans them, and freezes those that stood still since the scan before, if they are many
  passed_over,  ///< the same, but of the frozen ones whose stacks nobody has written into it reads the closures only
};

/// One scan of the stacks of all fibers: each is scanned once, while the fiber does not run. Their closures count as
/// part of the stacks, before they begin, and when they have ended and a handle still looks at the result. Lives on a
/// plain thread, the collector's, one at a time. Nothing here may be called while a thread is stopped in a signal
/// handler, but what says so.
///
/// The collector calls scan_suspended(), then stops the threads that for_each_running() names, one after the other, and
/// calls visit_interrupted_fiber() and mark_scanned() for each; and again, until scan_suspended() says that all has
/// been scanned.
class HEDDLE_EXPORT fiber_roots {
 public:
  /// Begins: no fiber counts as scanned from now on. Executes a heavy barrier. A stack that is passed over counts as
  /// read at the end of this call. `verifies`, for debugging: it is read all the same, and the process ends with a
  /// message if it is not as it was, though the kernel has told of no write.
  explicit fiber_roots(word_visitor& visitor, standing_fibers s = standing_fibers::scanned,
                       bool verifies = false) noexcept;
  ~fiber_roots();
  fiber_roots(const fiber_roots&) = delete;
  fiber_roots& operator=(const fiber_roots&) = delete;

  /// Scans the suspended fibers that have not been scanned yet. `firmly`: a fiber that is to be resumed waits until it
  /// has been scanned; else it is passed over. True if no fiber is left, and none can have been made meanwhile by one
  /// that was not scanned. O(fibers), and a heavy barrier for 256 that are to be scanned, or for each one if firmly.
  bool scan_suspended(bool firmly) noexcept;
  /// From now on scan_suspended() passes over fibers that wait, without bounds, only for objects that `judge` says are
  /// unreached: they count as put off, neither as scanned nor as left. One that is resumed is scanned as any other.
  /// Null: no more, so that all that were put off are left.
  void put_off_by(wait_judge* judge) noexcept { judge_ = judge; }
  /// How many the last scan_suspended() has put off.
  std::size_t put_off() const noexcept { return put_off_; }
  /// How many fibers were passed over.
  std::size_t passed_over() const noexcept { return passed_over_; }
  /// Changes with each fiber that is scanned, and with each that has run unscanned since scan_suspended() last began.
  /// If it is the same after two calls that both were true, no fiber that is put off has run since the first began.
  std::uint64_t progress() const noexcept { return (std::uint64_t{turns_} << 32) + scanned_; }
  /// Calls f(argument, thread) for each kernel thread that runs a fiber which has not been scanned.
  void for_each_running(void (*f)(void* argument, int thread), void* argument) noexcept;
  /// Whether there is still something to do for a fiber, which may run.
  bool is_scanned(const fiber& f) const noexcept;
  /// A fiber that a signal handler has stopped has been scanned. May be called while it is stopped.
  void mark_scanned(fiber& f) noexcept;

  /// Marks a thread by its thread_scan_mark(): its stack has been scanned, and what the fibers that it makes begin with
  /// is known.
  void mark_thread(std::atomic<std::uint8_t>& mark) const noexcept;
  bool is_marked(const std::atomic<std::uint8_t>& mark) const noexcept;

 private:
  struct batch;
  bool scan(batch& b, bool firmly) noexcept;
  bool nothing_unscanned_runs() noexcept;
  bool puts_off(const fiber& f) noexcept;
  bool passes_over(fiber& f) noexcept;
  bool has_stood_still(const fiber& f) const noexcept;
  void protect(fiber* const* first, std::size_t n) noexcept;
  bool is_to_be_frozen(const fiber& f) const noexcept;
  void verify(const fiber& f) noexcept;
  bool read(fiber& f, bool suspended, bool ended) noexcept;
  enum class outcome : std::uint8_t { passed_over, done, left };
  outcome consider(fiber& f, batch& b, bool firmly) noexcept;
  bool scan_slab(fiber* fibers, std::size_t used, bool is_full, batch& b, bool firmly) noexcept;

  word_visitor& visitor_;
  wait_judge* judge_ = nullptr;
  std::size_t put_off_ = 0;
  std::uint32_t scanned_ = 0;
  std::uint32_t turns_ = 0;  // unscanned ones, when the last pass began
  std::size_t still_ = 0;    // have stood still since the scan before, by this one
  std::size_t passed_over_ = 0;
  const standing_fibers standing_;
  const bool verifies_;
  bool freezes_ = false;
  bool first_pass_ = true;
  std::uint8_t epoch_;
};

}  // namespace heddle::detail
