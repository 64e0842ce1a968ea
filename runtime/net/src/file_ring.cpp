// SPDX-License-Identifier: BSL-1.0
#include "file_ring.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <mutex>

#include "heddle/blocking.hpp"
#include "heddle/detail/wait.hpp"
#include "heddle/fiber.hpp"
#include "heddle/latch.hpp"
#include "heddle/this_fiber.hpp"
#include "net_settings.hpp"

namespace heddle::io::detail {
namespace {

using heddle::detail::poll_outcome;
using heddle::detail::poll_side;

constexpr unsigned places = 512;
constinit std::atomic<file_ring*> current{nullptr};

io_uring_sqe operation_on(int fd, std::uint8_t code) noexcept {
  io_uring_sqe s{};
  s.opcode = code;
  s.fd = fd;
  return s;
}

io_uring_sqe transfer(int fd, std::uint8_t code, const std::byte* memory, std::size_t n, off_t offset) noexcept {
  constexpr std::size_t most = std::size_t{1} << 30;  // the kernel's limit is 2 GiB less a page
  io_uring_sqe s = operation_on(fd, code);
  s.addr = reinterpret_cast<std::uintptr_t>(memory);
  s.len = static_cast<std::uint32_t>(std::min(n, most));
  s.off = static_cast<std::uint64_t>(offset);
  return s;
}

}  // namespace

struct file_ring::pending {
  latch done{1};
  std::ptrdiff_t result = 0;
};

// --- the ring of the process ----------------------------------------------------------------------------------------

/// 0, or the error.
int file_ring::open() noexcept {
  owner_ = ::getpid();
  if (!net_settings().ring) return ENOSYS;
  if (const int error = ring_.open(places); error != 0) return error;
  try {
    events_ = heddle::detail::polled(ring_.descriptor());
  } catch (...) {  // which has closed it
    ring_.unmap();
    return ENOMEM;
  }
  room_.release(static_cast<std::ptrdiff_t>(ring_.places()));
  usable_ = true;
  return 0;
}

file_ring::~file_ring() {
  if (usable_) ring_.unmap();
}

file_ring* file_ring::instance() noexcept {
  // acquire, here and below: so that it is seen as it was opened; release half in the exchange.
  file_ring* known = current.load(std::memory_order_acquire);
  if (known == nullptr || known->owner_ != ::getpid()) {
    std::unique_ptr<file_ring> made(new (std::nothrow) file_ring);
    if (made == nullptr) return nullptr;
    const int error = made->open();
    // Errors that another call may not meet.
    if (error == EMFILE || error == ENFILE || error == ENOMEM || error == EAGAIN) return nullptr;
    file_ring* const parents = known;
    if (current.compare_exchange_strong(known, made.get(), std::memory_order_acq_rel, std::memory_order_acquire)) {
      // Never destroyed. Of its parent's ring a child has the descriptor.
      if (parents != nullptr && parents->usable_) ::close(parents->ring_.descriptor());
      known = made.release();
    }
  }
  return known->usable_ ? known : nullptr;
}

bool file_ring::helps() noexcept { return this_fiber::is_fiber() && !heddle::detail::processor_idle(); }

// --- operations -----------------------------------------------------------------------------------------------------

std::optional<std::ptrdiff_t> file_ring::read(int fd, std::span<std::byte> to, off_t offset) noexcept {
  io_uring_sqe s = transfer(fd, IORING_OP_READ, to.data(), to.size(), offset);
  return perform(s);
}

std::optional<std::ptrdiff_t> file_ring::write(int fd, std::span<const std::byte> from, off_t offset) noexcept {
  io_uring_sqe s = transfer(fd, IORING_OP_WRITE, from.data(), from.size(), offset);
  return perform(s);
}

std::optional<std::ptrdiff_t> file_ring::sync(int fd, bool data_only) noexcept {
  io_uring_sqe s = operation_on(fd, IORING_OP_FSYNC);
  if (data_only) s.fsync_flags = IORING_FSYNC_DATASYNC;
  return perform(s);
}

std::optional<std::ptrdiff_t> file_ring::perform(io_uring_sqe& operation) noexcept {
  pending p;
  operation.user_data = reinterpret_cast<std::uintptr_t>(&p);
  room_.acquire();
  const bool begun = begin(operation);
  if (begun) p.done.wait();
  room_.release();
  if (!begun) return std::nullopt;
  return p.result;
}

bool file_ring::begin(const io_uring_sqe& operation) noexcept {
  const std::lock_guard hold(lock_);
  if (!collecting_) {
    try {
      go({.name = "files"}, [this] { collect(); });
    } catch (...) {
      return false;
    }
    collecting_ = true;
  }
  if (ring_.submit(operation) != 0) return false;
  ++under_way_;
  return true;
}

// --- completions ----------------------------------------------------------------------------------------------------

void file_ring::finish(const io_uring_cqe& completion) noexcept {
  auto& p = *reinterpret_cast<pending*>(static_cast<std::uintptr_t>(completion.user_data));
  p.result = completion.res;
  completed_.fetch_add(1, std::memory_order_relaxed);
  p.done.count_down();  // after which p may be gone
}

/// So many are over. Whether others are under way; else nobody collects any more.
bool file_ring::more_to_collect(std::size_t over) noexcept {
  const std::lock_guard hold(lock_);
  under_way_ -= over;
  collecting_ = under_way_ != 0;
  return collecting_;
}

void file_ring::collect() noexcept {
  for (heddle::detail::polled::use now(events_);;) {
    const std::uint32_t seen = now.readiness(poll_side::read);
    std::array<io_uring_cqe, 64> over;
    std::size_t n = 0;
    while (n != over.size() && ring_.take(over[n])) ++n;
    // Takes the lock that those who have submitted had: so what they have made before is seen in finish(). And lets go
    // of it, since those that are woken there submit.
    const bool more = more_to_collect(n);
    std::for_each_n(over.begin(), n, [this](const io_uring_cqe& c) { finish(c); });
    if (!more) return;
    if (n != 0) continue;
    if (seen != 0)
      now.blocked(poll_side::read, seen);
    else if (now.wait(poll_side::read, {}) != poll_outcome::ready)
      blocking([this] { ring_.await(); });  // the poller cannot watch it, so this fiber's thread waits
  }
}

}  // namespace heddle::io::detail
