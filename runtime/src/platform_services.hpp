// SPDX-License-Identifier: BSL-1.0
//
// What the runtime alone asks of the platform, beside heddle/detail/platform.hpp. The explorer brings its own.
#pragma once

#include <signal.h>

#include <cstddef>

#include "heddle/detail/locals.hpp"

namespace heddle::detail::platform {

/// The local variables of the calling plain thread, or null; when it ends, they are ended.
locals_base* thread_locals() noexcept;
void set_thread_locals(locals_base* of_thread) noexcept;

/// A number noted on the calling kernel thread, 0 at first.
std::uint8_t thread_note() noexcept;
void note_on_thread(std::uint8_t n) noexcept;

/// Whether the calling kernel thread holds calls of its signal handlers (held_calls.hpp); false at first.
bool holds_calls() noexcept;
/// Changes that; returns how it was.
bool hold_calls(bool now) noexcept;

/// Bounds of the calling kernel thread's stack, for the sanitizers.
void describe_thread_stack(char*& bottom, std::size_t& size, void*& tsan_fiber) noexcept;
void at_fork(void (*before)(), void (*parent)(), void (*child)()) noexcept;
/// The kernel's number of the calling thread.
int thread_number() noexcept;
/// Kernel threads of this process that live, or SIZE_MAX if that cannot be known.
std::size_t process_threads() noexcept;
/// Whether the caller is the thread that ran main().
bool is_main_thread() noexcept;
/// Calls f on the calling thread when it ends by itself or by pthread_exit(), not if the process exits.
void at_end_of_thread(void (*f)() noexcept) noexcept;
/// Whether the main thread has ended while others live on, by pthread_exit().
bool main_thread_gone() noexcept;
/// Whether exit() is among the callers. So it is in every destructor of a static object, in handlers of atexit(), and
/// in destructors of thread-locals of the thread that exits. Unwinds the stack: microseconds a frame.
bool called_by_exit() noexcept;
/// From now on the module with this code stays loaded until the process ends: threads run in it.
void stay_loaded() noexcept;
/// Whether the program has a handler for a signal that can come while every thread sleeps: for a signal that is no
/// fault of the thread that gets it, nor the signal `but`.
bool handler_may_come(int but) noexcept;
/// Which signals the calling thread has blocked.
sigset_t blocked_signals() noexcept;
void block_signals(const sigset_t& these) noexcept;
void unblock_signal(int number) noexcept;
/// Blocks every signal but those of faults: no handler of the program runs on the calling thread.
void block_all_signals() noexcept;
/// Gives the memory of whole pages back; they read as zeros then.
void drop_pages(void* at, std::size_t bytes) noexcept;
/// From now on the calling kernel thread takes the next free CPU when it wakes, and interrupts nobody for it.
void interrupt_nobody() noexcept;

}  // namespace heddle::detail::platform
