// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstddef>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include "heddle/fiber.hpp"

namespace heddle {

/// The fate of an exception that nobody gets: of a fiber whose join_handle is destroyed, assigned to, or detached
/// instead of joined, or of a group that is destroyed without a wait() that would have rethrown it.
enum class lost_exception_policy {
  ignore,  ///< nothing
  report,  ///< a line on stderr that names the fiber, the type of the exception and its what()
  fatal,   ///< the same, and std::terminate()
};

/// How a runtime is set up. The environment wins over the code: `HEDDLE=procs=2,stack_size=64K,slice=20ms` has the same
/// names. Bytes may have K, M or G, durations ns, us, ms, s or min; switches are on or off; `HEDDLE=help` lists all
/// names. An unknown name or a bad value is reported on stderr by name. Where the process has rights that its starter
/// has not (set-user-ID, capabilities of its file: AT_SECURE) the environment is not read.
struct options {
  /// Processors, that is fibers that run at once. 0: as many as the affinity mask and the cgroup's CPU quota allow. 1
  /// is no mutual exclusion: a fiber whose processor was taken (see `monitor`) runs on beside the next one until it
  /// calls the runtime.
  unsigned procs = 0;
  /// Bytes of address space for a fiber's stack, 16 KiB to 64 MiB (also `stack` in the environment). Memory is used by
  /// the page, as the stack grows.
  std::size_t stack_size = std::size_t{256} << 10;
  /// Bytes of the first segment of a stack that grows, control block included: 1024 or 2048 (also `segment`). For
  /// fibers of code compiled with heddle::segmented.
  std::size_t segment_size = 2048;
  /// Bytes that all segments of one fiber may have together, from 1 MiB. More ends the process with a report, as an
  /// overflow does.
  std::size_t max_stack = std::size_t{1} << 30;
  /// How long a fiber may run before others get its processor, from 1 ms. In the environment up to 10 s, and in
  /// microseconds if there is no unit.
  std::chrono::microseconds slice{10'000};
  /// Kernel threads at most (also `machines`). When so many are blocked, further ones keep their processor.
  unsigned max_machines = 10'000;
  /// Ends the process with a report when fibers are left that nothing can wake (also `deadlock`). A handler of the
  /// program for a signal that others can send counts as something that can.
  bool detect_deadlock = true;
  /// Takes processors from fibers that block or do not let go. Without it a blocked fiber blocks its processor, and
  /// deadlock is not seen.
  bool monitor = true;
  /// Fibers with segmented stacks yield at the next function that they enter when their slice is over, so that they may
  /// go on on another kernel thread after any call: see no_preemption. Without it they lose their processor when their
  /// slice is over, as all others do, and run on beside the next one.
  bool preempt = false;
  /// Reports a fiber that overflows its stack by name, with a backtrace, before SIGSEGV goes its way (also `overflow`).
  /// While the runtime runs its handler stands before those of the program, and passes on what is not its own.
  bool report_overflow = true;
  /// The fate of exceptions that nobody gets (`ignore`, `report`, `fatal`). One that leaves a function of go() is
  /// fatal always. After the end of the runtime they are reported.
  lost_exception_policy lost_exceptions = lost_exception_policy::report;
  /// Makes an error in `HEDDLE` fatal: exit status 2.
  bool abort_conf = false;
};

/// A glance at the running runtime; every field is 0 if none runs.
struct statistics {
  std::size_t fibers = 0;           ///< alive
  std::size_t machines = 0;         ///< kernel threads for fibers; those that nobody needs end after some seconds
  std::size_t idle_processors = 0;  ///< of processors()
  std::size_t spinning = 0;         ///< machines that look for work
  std::size_t queued = 0;           ///< fibers in the global queue
  std::size_t timers = 0;           ///< sleepers
  std::size_t stacks = 0;           ///< made, in use or kept for reuse
  std::size_t segments = 0;         ///< further segments of stacks that grow, made likewise
  std::size_t descriptors = 0;      ///< whose events the kernel reports, of the process
  std::size_t polls = 0;            ///< how often the kernel was asked for events
  std::size_t events = 0;           ///< of descriptors, that it has reported then
};

namespace detail {
/// Keeps a runtime from its construction to its destruction; the destructor waits for every fiber.
class HEDDLE_EXPORT runtime_scope {
 public:
  explicit runtime_scope(const options& o);
  ~runtime_scope();
  /// In the handler of an exception of main: reports name it if other fibers are left that do not end.
  void main_has_thrown() noexcept;
  runtime_scope(const runtime_scope&) = delete;
  runtime_scope& operator=(const runtime_scope&) = delete;
};
}  // namespace detail

/// Runs `main` as the first fiber, and returns what it returns, once it and every other fiber have ended.
/// The calling thread only waits. A second run may follow the first. `main` begins with the floating-point environment
/// of the caller, as go() says; the caller's stays as it was. An exception of main is rethrown when the other fibers
/// have ended, too; if that lasts, or never happens, a message on stderr says what it was.
///
/// A runtime that go() or spawn() has started on a plain thread, in the constructor of a static object for instance, is
/// ended first if its fibers end by themselves; if some wait or sleep there is an error.
///
/// \param main  callable without arguments
/// \param o     see options
/// \throws the exceptions of main; std::logic_error if a run is in progress already, if a lazily started runtime has
///         fibers that wait or sleep, if the caller is a fiber, or in the destructor of a thread-local on a thread of a
///         runtime;
///         std::invalid_argument naming an option out of range; std::system_error if no kernel thread can be had.
///
/// \code
/// int answer = heddle::run([] {
///   auto half = heddle::spawn([] { return 21; });
///   return 2 * half.join();
/// });
/// \endcode
template <class F>
auto run(F&& main, const options& o = {}) -> std::invoke_result_t<std::decay_t<F>&> {
  detail::runtime_scope scope(o);
  auto first = spawn(fiber_options{.name = "main"}, std::forward<F>(main));
  try {
    return first.join();
  } catch (...) {
    scope.main_has_thrown();
    throw;
  }
}

/// Waits for every fiber of a runtime that go() or spawn() started from a plain thread, and ends it. Does nothing if no
/// runtime runs, or one that run() has started. May be called from plain threads, several at once too; throws
/// std::logic_error from a fiber. In the destructor of a thread-local, on a thread of the runtime, it returns at once:
/// the runtime ends after that thread.
///
/// It need not be called at the end of a program: exit(), or the return of main, waits for such fibers, too, but not
/// for those that wait for others, and only some seconds for the rest. See "Ways out" in runtime/README.md.
HEDDLE_EXPORT void shutdown();

/// Processors of the running runtime; if none runs, those that a default one would have.
HEDDLE_EXPORT unsigned processors() noexcept;

/// Live counts; O(processors). From anywhere.
HEDDLE_EXPORT statistics stats() noexcept;

/// Bytes of the deepest of all stacks that fibers of the running runtime have written to, to choose `stack_size` by; 0
/// if none runs. Memory given back to the system since does not count. Of a stack that grows its segments count as a
/// whole, those that one fiber had at once; up to half may be missing where it grew by segments at hand. O(stacks), a
/// system call each. From anywhere.
HEDDLE_EXPORT std::size_t deepest_stack() noexcept;

}  // namespace heddle
