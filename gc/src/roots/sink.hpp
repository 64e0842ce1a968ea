// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace heddle::gc::detail {

/// Is told of memory in which roots may be. While it is called a thread may stand still that holds a lock of the
/// program, malloc's for instance. So it takes no lock, and allocates only memory of the kernel's.
class root_sink {
 public:
  /// Each aligned word in [from, to) may be an address of an object, or in one. Both are aligned to 8. The
  /// caller sees to it that the memory stays readable, and that it does not change if it is a stack.
  virtual void words(const void* from, const void* to) noexcept = 0;
  /// See heddle::detail::word_visitor.
  virtual bool wants_again() noexcept { return false; }

 protected:
  ~root_sink() = default;
};

}  // namespace heddle::gc::detail
