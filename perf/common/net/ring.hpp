// SPDX-License-Identifier: BSL-1.0
//
// io_uring over its three raw system calls, for one thread: the completions are made when that thread asks for them.
#pragma once

#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstring>

#include "common/net/server.hpp"

namespace perf::net {

/// Zeroed memory, in whole pages, that is never given back.
inline void* pages(std::size_t bytes) {
  void* const memory =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  require(memory != MAP_FAILED, "mmap failed");
  return memory;
}

/// Submission and completion queue.
class ring {
 public:
  explicit ring(unsigned entries) {
    io_uring_params p{};
    p.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE;
    p.cq_entries = 8 * entries;
    fd_ = checked(static_cast<int>(::syscall(SYS_io_uring_setup, entries, &p)), "io_uring_setup");
    require((p.features & IORING_FEAT_SINGLE_MMAP) != 0, "this io_uring is too old");
    const std::size_t sq = p.sq_off.array + p.sq_entries * sizeof(unsigned);
    const std::size_t cq = p.cq_off.cqes + p.cq_entries * sizeof(io_uring_cqe);
    auto* const queues = static_cast<char*>(map(std::max(sq, cq), IORING_OFF_SQ_RING));
    sqes_ = static_cast<io_uring_sqe*>(map(p.sq_entries * sizeof(io_uring_sqe), IORING_OFF_SQES));
    sq_tail_ = reinterpret_cast<unsigned*>(queues + p.sq_off.tail);
    cq_head_ = reinterpret_cast<unsigned*>(queues + p.cq_off.head);
    cq_tail_ = reinterpret_cast<unsigned*>(queues + p.cq_off.tail);
    cqes_ = reinterpret_cast<io_uring_cqe*>(queues + p.cq_off.cqes);
    sq_entries_ = p.sq_entries;
    cq_mask_ = p.cq_entries - 1;
    auto* const array = reinterpret_cast<unsigned*>(queues + p.sq_off.array);
    for (unsigned i = 0; i < sq_entries_; ++i) array[i] = i;
  }
  ring(const ring&) = delete;
  ring& operator=(const ring&) = delete;

  int fd() const { return fd_; }

  /// An empty entry, which the next enter() submits. If there is no room, what stands there is submitted first.
  io_uring_sqe& next() {
    if (prepared_ == sq_entries_) enter(0);
    io_uring_sqe& entry = sqes_[(tail_ + prepared_++) & (sq_entries_ - 1)];
    std::memset(&entry, 0, sizeof entry);
    return entry;
  }

  /// Submits, and waits until there are so many completions.
  void enter(unsigned completions) {
    tail_ += prepared_;
    // release: so that the kernel, which acquires the tail, sees the entries before it.
    std::atomic_ref(*sq_tail_).store(tail_, std::memory_order_release);
    const long submitted =
        ::syscall(SYS_io_uring_enter, fd_, prepared_, completions, IORING_ENTER_GETEVENTS, nullptr, 0);
    if (submitted < 0) {
      require(errno == EINTR || errno == EBUSY || errno == EAGAIN, "io_uring_enter failed");
      tail_ -= prepared_;
      return;
    }
    // The kernel may have taken fewer: the others are offered again.
    const auto rest = prepared_ - static_cast<unsigned>(submitted);
    tail_ -= rest;
    prepared_ = rest;
  }

  /// Calls f for each completion that is there.
  template <class F>
  void reap(F&& f) {
    unsigned head = *cq_head_;
    // acquire: so that we see the completions before the tail, which the kernel releases.
    const unsigned tail = std::atomic_ref(*cq_tail_).load(std::memory_order_acquire);
    for (; head != tail; ++head) f(cqes_[head & cq_mask_]);
    // release: so that the kernel, which acquires the head, overwrites only what we have read.
    std::atomic_ref(*cq_head_).store(head, std::memory_order_release);
  }

 private:
  void* map(std::size_t bytes, std::uint64_t offset) const {
    void* const memory =
        ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd_, static_cast<off_t>(offset));
    require(memory != MAP_FAILED, "mmap of a ring failed");
    return memory;
  }

  int fd_;
  io_uring_sqe* sqes_;
  unsigned* sq_tail_;
  unsigned* cq_head_;
  unsigned* cq_tail_;
  io_uring_cqe* cqes_;
  unsigned sq_entries_, cq_mask_;
  unsigned tail_ = 0;      // of what the kernel has been told
  unsigned prepared_ = 0;  // entries behind it
};

/// Buffers that the kernel takes when something arrives, and that we give back.
class buffer_ring {
 public:
  static constexpr std::uint16_t group = 0;

  buffer_ring(const ring& r, unsigned count, std::size_t size)
      : buffers_(static_cast<io_uring_buf*>(pages(count * sizeof(io_uring_buf)))),
        memory_(static_cast<char*>(pages(count * size))),
        size_(size),
        mask_(count - 1) {
    io_uring_buf_reg registration{};
    registration.ring_addr = reinterpret_cast<std::uint64_t>(buffers_);
    registration.ring_entries = count;
    registration.bgid = group;
    checked(static_cast<int>(::syscall(SYS_io_uring_register, r.fd(), IORING_REGISTER_PBUF_RING, &registration, 1)),
            "registering buffers");
    for (unsigned i = 0; i < count; ++i) give(static_cast<std::uint16_t>(i));
    publish();
  }

  char* operator[](std::uint16_t id) const { return memory_ + id * size_; }

  /// The kernel may use the buffer again once publish() was called.
  void give(std::uint16_t id) {
    io_uring_buf& buffer = buffers_[tail_++ & mask_];
    buffer.addr = reinterpret_cast<std::uint64_t>((*this)[id]);
    buffer.len = static_cast<std::uint32_t>(size_);
    buffer.bid = id;
  }
  void publish() {
    // The tail lies in the first buffer, where that has a word that is not used.
    // release: so that the kernel, which acquires the tail, sees the buffers before it.
    std::atomic_ref(buffers_[0].resv).store(tail_, std::memory_order_release);
  }

 private:
  io_uring_buf* buffers_;
  char* memory_;
  std::size_t size_;
  unsigned mask_;
  std::uint16_t tail_ = 0;
};

}  // namespace perf::net
