// SPDX-License-Identifier: BSL-1.0
//
// The threads that the collector knows: those that have allocated objects, or stored their addresses.
#pragma once

#include <pthread.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace heddle::gc::detail {

/// Makes the calling thread known while it lives: its stack is scanned, whether it runs fibers or not. Made and
/// destroyed by the thread itself, the latter when the thread ends; its memory must stay until then, and a thread has
/// one at most. The constructor asks the C library where the thread's stack is, which allocates and reads files; it
/// needs some kilobytes of stack. Both wait while the collector scans stacks of threads: the thread must be in no
/// function of the collector then.
class thread_registration {
 public:
  thread_registration() noexcept;
  ~thread_registration();
  thread_registration(const thread_registration&) = delete;
  thread_registration& operator=(const thread_registration&) = delete;

  pthread_t handle() const noexcept { return handle_; }
  int number() const noexcept { return number_; }
  std::uintptr_t stack_bottom() const noexcept { return bottom_; }
  std::uintptr_t stack_top() const noexcept { return top_; }
  std::atomic<std::uint8_t>& mark() const noexcept { return *mark_; }
  /// The innermost exception that the thread, which stands still, has caught.
  const void* caught() const noexcept { return *caught_; }

 private:
  friend class known_threads;
  friend void keep_only_this_thread() noexcept;
  void find_stack() noexcept;

  pthread_t handle_;
  int number_;
  std::uintptr_t bottom_ = 0;
  std::uintptr_t top_ = 0;
  std::atomic<std::uint8_t>* mark_;
  const void* const* caught_;  // the first word of what __cxa_get_globals() gives there
  thread_registration* next_ = nullptr;
  thread_registration* previous_ = nullptr;
};

/// While it lives no thread comes or goes: the list may be walked. Not to be made while a thread is stopped.
class known_threads {
 public:
  known_threads() noexcept;
  ~known_threads();
  known_threads(const known_threads&) = delete;
  known_threads& operator=(const known_threads&) = delete;

  thread_registration* first() const noexcept;
  static thread_registration* after(const thread_registration& t) noexcept { return t.next_; }
};

/// In a child: of all threads only the calling one is left, if it was known. Its registration stays.
void keep_only_this_thread() noexcept;

}  // namespace heddle::gc::detail
