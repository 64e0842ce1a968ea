// SPDX-License-Identifier: BSL-1.0
#include "support/socket_calls.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <thread>

namespace heddle::testing {
namespace {

/// The interference, and how many calls look at it at this moment. A call of the kernel may last longer than an
/// interference (a machine sleeps in epoll_wait), so nobody keeps one across a call: it is looked for again.
std::atomic<interference*> current{nullptr};
std::atomic<int> looking{0};
std::atomic<unsigned> serial{0};

/// Keeps what interferes alive. Both are seq_cst, as is the store of null and the wait in the destructor: either this
/// one sees null, or the destructor sees that somebody looks.
class look {
 public:
  look() noexcept {
    looking.fetch_add(1, std::memory_order_seq_cst);
    found_ = current.load(std::memory_order_seq_cst);
    number_ = serial.load(std::memory_order_relaxed);  // changes only while there is none
  }
  look(const look&) = delete;
  look& operator=(const look&) = delete;
  // release: so that the last use comes before the end of the object; the acquire half is in the destructor.
  ~look() { looking.fetch_sub(1, std::memory_order_release); }

  interference* operator->() const noexcept { return found_; }
  explicit operator bool() const noexcept { return found_ != nullptr; }
  unsigned number() const noexcept { return number_; }

 private:
  interference* found_;
  unsigned number_;
};

/// How a descriptor is registered with epoll. Written before it is, so that a change of a registration that is about to
/// be made fails, and the registration itself reports.
struct registration {
  std::atomic<int> epoll{-1};
  std::atomic<std::uint64_t> tag{0};
  std::atomic<std::uint32_t> events{0};
};
std::array<registration, 32'768> registrations;

std::atomic<std::size_t> waits{0}, events{0};

int count_events(const epoll_event* all, std::ptrdiff_t n) noexcept {
  for (std::ptrdiff_t i = 0; i < n; ++i) events += all[i].data.u64 != 0 ? 1 : 0;
  ++waits;
  return static_cast<int>(n);
}

/// Makes the call, if it is to be made. The same interference acts after it as before it.
template <class F>
std::ptrdiff_t interfered(socket_call which, int fd, std::size_t size, F call) noexcept {
  unsigned number = 0;
  if (const look now; now) {
    number = now.number();
    if (const int e = now->before(which, fd, size); e != 0) {
      errno = e;
      return -1;
    }
  }
  const std::ptrdiff_t result = call(size);
  if (number == 0) return result;
  const int own = errno;
  const look now;
  const int e = now && now.number() == number ? now->after(which, fd, size, result < 0 ? -own : result) : 0;
  errno = e != 0 ? e : own;
  return e != 0 ? -1 : result;
}

}  // namespace

interference::interference() noexcept {
  serial.fetch_add(1, std::memory_order_relaxed);
  // The release half is for look(), which sees what the test wrote before.
  current.store(this, std::memory_order_seq_cst);
}
interference::~interference() {
  current.store(nullptr, std::memory_order_seq_cst);
  // acquire half of ~look(), seq_cst for the order with the store above.
  while (looking.load(std::memory_order_seq_cst) != 0) std::this_thread::yield();
}
int interference::before(socket_call, int, std::size_t&) noexcept { return 0; }
int interference::after(socket_call, int, std::size_t, std::ptrdiff_t) noexcept { return 0; }

void report_again(int fd) noexcept {
  registration& r = registrations.at(static_cast<std::size_t>(fd));
  const int epoll = r.epoll.load(std::memory_order_seq_cst);
  if (epoll < 0) return;
  const int own = errno;
  epoll_event e{};
  e.events = r.events.load(std::memory_order_seq_cst);
  e.data.u64 = r.tag.load(std::memory_order_seq_cst);
  ::syscall(SYS_epoll_ctl, epoll, EPOLL_CTL_MOD, fd, &e);
  errno = own;
}

epoll_counts counted_epoll() noexcept {
  epoll_counts n;
  n.waits = waits.load(std::memory_order_relaxed);
  n.events = events.load(std::memory_order_relaxed);
  for (const registration& r : registrations)
    n.registered += r.epoll.load(std::memory_order_relaxed) >= 0 && r.tag.load(std::memory_order_relaxed) != 0 ? 1 : 0;
  return n;
}

}  // namespace heddle::testing

// --- in front of libc's ---------------------------------------------------------------------------------------------

using heddle::testing::count_events;
using heddle::testing::interfered;
using heddle::testing::registration;
using heddle::testing::registrations;
using heddle::testing::socket_call;

extern "C" {

ssize_t recv(int fd, void* to, std::size_t n, int flags) {
  return interfered(socket_call::receive, fd, n,
                    [&](std::size_t size) { return ::syscall(SYS_recvfrom, fd, to, size, flags, nullptr, nullptr); });
}

/// Shortened, it fills the first part only.
ssize_t readv(int fd, const iovec* parts, int n) {
  std::size_t all = 0;
  for (int i = 0; i != n; ++i) all += parts[i].iov_len;
  return interfered(socket_call::receive, fd, all, [&](std::size_t size) {
    iovec first = n != 0 ? parts[0] : iovec{};
    first.iov_len = std::min(first.iov_len, size);
    return size == all || first.iov_len == 0 ? ::syscall(SYS_readv, fd, parts, n) : ::syscall(SYS_readv, fd, &first, 1);
  });
}

ssize_t send(int fd, const void* from, std::size_t n, int flags) {
  return interfered(socket_call::send, fd, n,
                    [&](std::size_t size) { return ::syscall(SYS_sendto, fd, from, size, flags, nullptr, 0); });
}

/// Shortened, it sends of the first part only.
ssize_t sendmsg(int fd, const msghdr* message, int flags) {
  std::size_t all = 0;
  for (std::size_t i = 0; i != message->msg_iovlen; ++i) all += message->msg_iov[i].iov_len;
  return interfered(socket_call::send, fd, all, [&](std::size_t size) {
    const iovec first = message->msg_iovlen != 0 ? message->msg_iov[0] : iovec{};
    if (size == all || first.iov_len == 0) return ::syscall(SYS_sendmsg, fd, message, flags);
    return ::syscall(SYS_sendto, fd, first.iov_base, std::min(first.iov_len, size), flags, nullptr, 0);
  });
}

int sendmmsg(int fd, mmsghdr* messages, unsigned n, int flags) {
  return static_cast<int>(interfered(socket_call::send, fd, n, [&](std::size_t most) {
    return ::syscall(SYS_sendmmsg, fd, messages, static_cast<unsigned>(most), flags);
  }));
}

int accept4(int fd, sockaddr* address, socklen_t* size, int flags) {
  return static_cast<int>(interfered(socket_call::accept, fd, 0,
                                     [&](std::size_t) { return ::syscall(SYS_accept4, fd, address, size, flags); }));
}

int connect(int fd, const sockaddr* address, socklen_t size) {
  return static_cast<int>(
      interfered(socket_call::connect, fd, 0, [&](std::size_t) { return ::syscall(SYS_connect, fd, address, size); }));
}

int setsockopt(int fd, int level, int option, const void* value, socklen_t size) noexcept {
  return static_cast<int>(interfered(socket_call::set_option, fd, 0, [&](std::size_t) {
    return ::syscall(SYS_setsockopt, fd, level, option, value, size);
  }));
}

int epoll_ctl(int epoll, int operation, int fd, epoll_event* e) noexcept {
  registration& r = registrations.at(static_cast<std::size_t>(fd));
  if (operation == EPOLL_CTL_ADD) {
    r.tag.store(e->data.u64, std::memory_order_seq_cst);
    r.events.store(e->events, std::memory_order_seq_cst);
    r.epoll.store(epoll, std::memory_order_seq_cst);
  } else if (operation == EPOLL_CTL_DEL) {
    r.epoll.store(-1, std::memory_order_seq_cst);
  }
  return static_cast<int>(::syscall(SYS_epoll_ctl, epoll, operation, fd, e));
}

int epoll_wait(int epoll, epoll_event* out, int n, int timeout) {
  return count_events(out, interfered(socket_call::wait, epoll, static_cast<std::size_t>(n), [&](std::size_t most) {
                        return ::syscall(SYS_epoll_wait, epoll, out, static_cast<int>(most), timeout);
                      }));
}

int epoll_pwait2(int epoll, epoll_event* out, int n, const timespec* timeout, const sigset_t* mask) {
  return count_events(out, interfered(socket_call::wait, epoll, static_cast<std::size_t>(n), [&](std::size_t most) {
                        return ::syscall(SYS_epoll_pwait2, epoll, out, static_cast<int>(most), timeout, mask,
                                         sizeof(long));
                      }));
}
}
