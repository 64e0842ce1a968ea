// SPDX-License-Identifier: BSL-1.0
//
// Children whose process object has gone. A thread, not a fiber: run() does not wait for programs that nobody waits
// for.
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

#include "child.hpp"

namespace heddle::io::detail {
namespace {

/// Whether there is nothing to wait for any more: it has been reaped, now or before, or is no child of ours.
bool is_reaped(int pidfd) noexcept {
  siginfo_t how{};
  return ::waitid(P_PIDFD, static_cast<id_t>(pidfd), &how, WEXITED | WNOHANG) != 0 || how.si_pid != 0;
}

/// The children that are waited for. There is one for each process: a fork leaves its parent's children to the parent.
class reaper {
 public:
  explicit reaper(pid_t owner) noexcept : owner_(owner) {}

  bool belongs_to(pid_t process) const noexcept { return owner_ == process; }

  /// Throws std::bad_alloc. Without a thread to be had the child is waited for together with the next one.
  void add(int pidfd) {
    const std::lock_guard hold(lock_);
    children_.push_back(pidfd);
    if (changes_ < 0) changes_ = ::eventfd(0, EFD_CLOEXEC);
    if (!running_) running_ = start();
    ::eventfd_write(changes_, 1);
  }

 private:
  /// On a thread that runs no handlers. False if there is none to be had.
  bool start() noexcept {
    sigset_t all, before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = true;
    try {
      std::thread([this] { run(); }).detach();
    } catch (const std::system_error&) {
      started = false;
    }
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return started;
  }

  void run() {
    for (std::vector<pollfd> looks; collect(looks);) ::poll(looks.data(), looks.size(), -1);
  }

  /// Reaps those that have ended, and lists the others. False: none is left, and the thread ends.
  bool collect(std::vector<pollfd>& looks) {
    const std::lock_guard hold(lock_);
    std::erase_if(children_, [](int pidfd) { return is_reaped(pidfd) && ::close(pidfd) == 0; });
    running_ = !children_.empty();
    if (!running_) return false;
    eventfd_t n = 0;
    looks.assign(1, {changes_, POLLIN, 0});
    if (pollfd one{changes_, POLLIN, 0}; ::poll(&one, 1, 0) == 1) ::eventfd_read(changes_, &n);
    for (const int pidfd : children_) looks.push_back({pidfd, POLLIN, 0});
    return true;
  }

  const pid_t owner_;
  std::mutex lock_;
  std::vector<int> children_;
  int changes_ = -1;
  bool running_ = false;
};

constinit std::atomic<reaper*> current{nullptr};

/// Of this process. Never destroyed: its thread may run until the process ends.
reaper& this_reaper() {
  // acquire, here and below: so that it is seen as it was made; release half in the exchange.
  reaper* known = current.load(std::memory_order_acquire);
  if (known != nullptr && known->belongs_to(::getpid())) return *known;
  auto made = std::make_unique<reaper>(::getpid());
  if (current.compare_exchange_strong(known, made.get(), std::memory_order_acq_rel, std::memory_order_acquire))
    return *made.release();
  return *known;
}

}  // namespace

void leave_to_reaper(int pidfd) noexcept {
  if (!is_reaped(pidfd)) {
    try {
      return this_reaper().add(pidfd);
    } catch (const std::bad_alloc&) {
      // A zombie is less than a destructor that waits for a program to end.
    }
  }
  ::close(pidfd);
}

}  // namespace heddle::io::detail
