// SPDX-License-Identifier: BSL-1.0
#include "kernel_ring.hpp"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define RUNNING_ON_VALGRIND 0
#endif

namespace heddle::io::detail {
namespace {

/// The operations that are handed over at once: one.
constexpr unsigned submitted_at_once = 1;

/// Never inlined: compilers keep the address of errno over calls, and a fiber may go to another thread between two.
[[gnu::noinline]] int enter(int ring, unsigned submit, unsigned wait) noexcept {
  const long n = ::syscall(SYS_io_uring_enter, ring, submit, wait, wait != 0 ? IORING_ENTER_GETEVENTS : 0, nullptr, 0);
  return n >= 0 ? static_cast<int>(n) : -errno;
}

}  // namespace

void* kernel_ring::map(std::size_t bytes, std::size_t offset) const noexcept {
  void* const memory =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd_, static_cast<off_t>(offset));
  // A child of a fork has nothing to do with its parent's queues.
  if (memory != MAP_FAILED) ::madvise(memory, bytes, MADV_DONTFORK);
  return memory;
}

int kernel_ring::open(unsigned places) noexcept {
  // Valgrind does not see what the kernel writes into buffers between two system calls.
  if (RUNNING_ON_VALGRIND != 0) return ENOSYS;
  io_uring_params p{};
  p.flags = IORING_SETUP_CQSIZE;
  p.cq_entries = places;
  fd_ = static_cast<int>(::syscall(SYS_io_uring_setup, submitted_at_once, &p));
  if (fd_ < 0) return errno;
  queue_bytes_ =
      std::max(p.sq_off.array + p.sq_entries * sizeof(unsigned), p.cq_off.cqes + p.cq_entries * sizeof(io_uring_cqe));
  operation_bytes_ = p.sq_entries * sizeof(io_uring_sqe);
  queues_ = (p.features & IORING_FEAT_SINGLE_MMAP) != 0 ? map(queue_bytes_, IORING_OFF_SQ_RING) : MAP_FAILED;
  void* const operations = queues_ != MAP_FAILED ? map(operation_bytes_, IORING_OFF_SQES) : MAP_FAILED;
  if (operations == MAP_FAILED) {
    if (queues_ != MAP_FAILED) ::munmap(queues_, queue_bytes_);
    ::close(fd_);
    return ENOSYS;
  }
  char* const at = static_cast<char*>(queues_);
  operations_ = static_cast<io_uring_sqe*>(operations);
  completions_ = reinterpret_cast<const io_uring_cqe*>(at + p.cq_off.cqes);
  operations_end_ = reinterpret_cast<unsigned*>(at + p.sq_off.tail);
  completions_begin_ = reinterpret_cast<unsigned*>(at + p.cq_off.head);
  completions_end_ = reinterpret_cast<unsigned*>(at + p.cq_off.tail);
  operation_mask_ = p.sq_entries - 1;
  completion_mask_ = p.cq_entries - 1;
  // The kernel reads a list of the operations' places; ours follow each other.
  auto* const list = reinterpret_cast<unsigned*>(at + p.sq_off.array);
  for (unsigned i = 0; i != p.sq_entries; ++i) list[i] = i;
  return 0;
}

void kernel_ring::unmap() noexcept {
  ::munmap(operations_, operation_bytes_);
  ::munmap(queues_, queue_bytes_);
}

int kernel_ring::submit(const io_uring_sqe& operation) noexcept {
  const std::atomic_ref end(*operations_end_);
  const unsigned at = end.load(std::memory_order_relaxed);
  operations_[at & operation_mask_] = operation;
  // release: so that the kernel, which acquires the end, sees the operation.
  end.store(at + 1, std::memory_order_release);
  const int n = enter(fd_, submitted_at_once, 0);
  if (n > 0) return 0;
  // relaxed: the kernel looks only in enter(), which we call.
  end.store(at, std::memory_order_relaxed);
  return n < 0 ? -n : EAGAIN;
}

bool kernel_ring::take(io_uring_cqe& completion) noexcept {
  const std::atomic_ref begin(*completions_begin_);
  const unsigned at = begin.load(std::memory_order_relaxed);
  // acquire: so that we see the completion before the end, which the kernel releases.
  if (at == std::atomic_ref(*completions_end_).load(std::memory_order_acquire)) return false;
  completion = completions_[at & completion_mask_];
  // release: so that the kernel, which acquires the beginning, overwrites only what we have read.
  begin.store(at + 1, std::memory_order_release);
  return true;
}

void kernel_ring::await() noexcept { enter(fd_, 0, 1); }

}  // namespace heddle::io::detail
