// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <initializer_list>

namespace heddle::testing {

/// Makes a share of some system calls fail with ENOMEM, for this thread and all that it starts: by seccomp, so that no
/// way of making the call escapes. A thread from before answers for the kernel; it uses no memory of the heap.
/// There is no way back but percent(0): for child processes.
class failing_calls {
 public:
  /// Takes effect with the first percent(). False from installed() where the kernel does not offer it.
  explicit failing_calls(std::initializer_list<int> numbers);
  failing_calls(const failing_calls&) = delete;
  failing_calls& operator=(const failing_calls&) = delete;

  bool installed() const { return listener_ >= 0; }
  static void percent(int share);
  static long failed();  ///< calls so far

 private:
  int listener_ = -1;
};

}  // namespace heddle::testing
