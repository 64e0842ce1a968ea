// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <optional>
#include <span>

#include "heddle/detail/polled.hpp"
#include "heddle/mutex.hpp"
#include "heddle/semaphore.hpp"
#include "kernel_ring.hpp"

namespace heddle::io::detail {

/// Operations on files by io_uring: the fiber parks until the kernel has done one, and no thread does. One of the
/// process, shared by the runtimes that follow each other; a forked child has another one, and none of its parent's
/// operations.
///
/// 1. A fiber submits under `lock_`, and waits at a latch of its own. The buffer is the kernel's until that opens, so
///    nothing ends the wait before.
/// 2. While operations are under way a fiber collects completions: it waits for the ring's descriptor by the poller,
///    and opens the latches. It ends with the last operation, so a runtime that ends waits for both.
/// 3. `room_` has a permit for each place of the kernel's queue. Further fibers wait for one.
class file_ring {
 public:
  /// That of this process. Null if there is none to be had, or HEDDLE_NET says that none is wanted.
  static file_ring* instance() noexcept;
  /// Whether the caller should rather use it than block its thread: it is a fiber, and no processor is idle. While one
  /// is, a blocked thread costs others nothing, and half the CPU time.
  static bool helps() noexcept;

  file_ring() = default;
  file_ring(const file_ring&) = delete;
  file_ring& operator=(const file_ring&) = delete;
  ~file_ring();

  // The result of the system call of that name, or the negative number of its error. Nothing: the kernel has not begun,
  // and has to be asked in the other way.
  std::optional<std::ptrdiff_t> read(int fd, std::span<std::byte> to, off_t offset) noexcept;
  std::optional<std::ptrdiff_t> write(int fd, std::span<const std::byte> from, off_t offset) noexcept;
  std::optional<std::ptrdiff_t> sync(int fd, bool data_only) noexcept;

  /// How many operations have ended.
  std::size_t completed() const noexcept { return completed_.load(std::memory_order_relaxed); }

 private:
  struct pending;
  int open() noexcept;
  std::optional<std::ptrdiff_t> perform(io_uring_sqe& operation) noexcept;
  bool begin(const io_uring_sqe& operation) noexcept;
  void collect() noexcept;
  void finish(const io_uring_cqe& completion) noexcept;
  bool more_to_collect(std::size_t over) noexcept;

  kernel_ring ring_;
  pid_t owner_ = 0;
  bool usable_ = false;
  heddle::detail::polled events_;  ///< has the ring's descriptor
  semaphore room_{0};
  mutex lock_;
  std::size_t under_way_ = 0;  ///< operations, under the lock
  bool collecting_ = false;    ///< whether a fiber does that, under the lock
  std::atomic<std::size_t> completed_{0};
};

}  // namespace heddle::io::detail
