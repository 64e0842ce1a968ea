// SPDX-License-Identifier: BSL-1.0
//
// io_uring over its system calls: three calls and two queues need no library.
#pragma once

#include <linux/io_uring.h>

#include <cstddef>

namespace heddle::io::detail {

/// The two queues that a process shares with the kernel: of operations that it asks for, and of those that are over.
///
/// One at a time submits, and one at a time takes; both may go on at once. The caller sees to it that no more
/// operations are under way than there are `places`: so no completion is without one.
class kernel_ring {
 public:
  kernel_ring() noexcept = default;
  kernel_ring(const kernel_ring&) = delete;
  kernel_ring& operator=(const kernel_ring&) = delete;

  /// 0, or the error: ENOSYS, EPERM where the system does not allow it, and others. Not again after a success.
  int open(unsigned places) noexcept;
  /// Of one that was opened: takes the queues out of memory. The descriptor is the caller's.
  void unmap() noexcept;
  /// Becomes readable when an operation is over.
  int descriptor() const noexcept { return fd_; }
  unsigned places() const noexcept { return completion_mask_ + 1; }

  /// Hands an operation to the kernel. 0, or the error: then the kernel has not taken it.
  int submit(const io_uring_sqe& operation) noexcept;
  /// Takes the next completion, if there is one.
  bool take(io_uring_cqe& completion) noexcept;
  /// Blocks the thread until there is a completion, or a signal came.
  void await() noexcept;

 private:
  void* map(std::size_t bytes, std::size_t offset) const noexcept;

  int fd_ = -1;
  std::size_t queue_bytes_ = 0, operation_bytes_ = 0;
  void* queues_ = nullptr;
  io_uring_sqe* operations_ = nullptr;
  const io_uring_cqe* completions_ = nullptr;
  unsigned* operations_end_ = nullptr;     ///< written by us
  unsigned* completions_begin_ = nullptr;  ///< written by us
  unsigned* completions_end_ = nullptr;    ///< written by the kernel
  unsigned operation_mask_ = 0, completion_mask_ = 0;
};

}  // namespace heddle::io::detail
