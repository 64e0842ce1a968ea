// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>

#include "cycle/at_work.hpp"
#include "heddle/detail/helper_call.hpp"

namespace heddle::gc::detail {

/// Looks for cycles of counted objects and destroys them when there are many candidates: on a fiber if a runtime runs,
/// else on a thread of its own.
class cycle_searcher {
 public:
  constexpr cycle_searcher() noexcept = default;
  /// Something is due. From any thread; never blocks.
  void wake() noexcept;
  /// In a child of a fork: nobody is at it, and there is no thread.
  void after_fork_in_child() noexcept;

 private:
  static void run_all(void* self) noexcept;
  static void main(void* self) noexcept;
  void wake_thread() noexcept;

  bool has_thread_ = false;  // by the one that has begun
  heddle::detail::platform::thread thread_;
  at_work at_work_;
  heddle::detail::helper_call wanted_;
};

extern constinit cycle_searcher the_cycle_searcher;

/// Sees to all that waits for owners, and to all cycles that are garbage now. Returns how many objects of cycles it has
/// found.
std::size_t collect_all_cycles() noexcept;

}  // namespace heddle::gc::detail
