// SPDX-License-Identifier: BSL-1.0
//
// The ways out of the process, as far as the runtime has a part in them. README.md tells what happens at each.
#pragma once

#include <cstdint>

#include "heddle/detail/exit.hpp"
#include "heddle/detail/platform.hpp"

namespace heddle::detail {

enum class settled : std::uint8_t;

/// Called by each start of a runtime: exit() will call leave_process(), at this place among the destructors of static
/// objects, and again when all of them have run.
void watch_exit();
/// Called by a thread that starts a runtime: when exit() is called on it, fibers are looked at before all else is
/// destroyed. On the main thread also: main_thread_left() tells from now on.
void watch_end_of_thread() noexcept;
/// Whether the main thread has called pthread_exit(): the process goes on until its last fiber has ended.
bool main_thread_left() noexcept;
/// Whether main_thread_left() would not tell, since the main thread has started no runtime: the monitor looks itself.
bool main_may_leave_unseen() noexcept;
/// The last thread that a program has left is the monitor: the process ends as it would with the last thread.
[[noreturn]] void exit_by_monitor() noexcept;
/// In a forked child: nothing of the above has happened.
void forget_exit() noexcept;

/// Whether the calling thread is a machine's that runs the destructors of its thread-locals: it is a plain thread by
/// then, but whoever ends the runtime waits for it. Not in a child that it has forked: the note on it is of another
/// era.
bool on_dismissed_machine() noexcept;
/// At exit, on a plain thread: waits for fibers that go on by themselves, and then, if no fiber is left, ends a runtime
/// that go() or spawn() has started. `grace`, `busy`: see scheduler::settle(); plain threads that go on starting
/// fibers, or end the runtime themselves, are waited for as long as fibers that go on.
settled wind_up(nanoseconds_t grace, nanoseconds_t busy) noexcept;

}  // namespace heddle::detail
