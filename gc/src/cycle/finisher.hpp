// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>

#include "cycle/at_work.hpp"
#include "heddle/detail/helper_call.hpp"

namespace heddle::gc::detail {

/// Runs destructors and cleanups that are due, one after the other: on a fiber if a runtime runs, else on a thread of
/// its own.
class finisher {
 public:
  constexpr finisher() noexcept = default;
  /// Something may be due. From the collector's thread.
  void wake() noexcept;
  /// By the thread that forks, one at a time.
  void before_fork() noexcept;
  /// In a child: nobody is at it, and there is no thread, unless a destructor or a cleanup has forked. Then the fiber
  /// or the thread that runs it goes on there.
  void after_fork_in_child() noexcept;

 private:
  static void run_all(void* self) noexcept;
  static void main(void* self) noexcept;
  void wake_thread() noexcept;

  bool has_thread_ = false;
  heddle::detail::platform::thread thread_;
  bool forks_in_ending_ = false;
  const void* thread_mark_ = nullptr;   // the thread's caller(); written by it
  at_work at_work_;                     // a fiber, or the thread
  heddle::detail::helper_call wanted_;  // the thread is to be
};

extern constinit finisher the_finisher;

}  // namespace heddle::gc::detail
