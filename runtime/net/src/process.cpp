// SPDX-License-Identifier: BSL-1.0
#include "heddle/io/process.hpp"

#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.hpp"

namespace heddle::io {
namespace detail {

using heddle::detail::thread_lock;

child::~child() {
  if (id == 0 || is_over()) return;
  if (const int pidfd = end.release(); pidfd >= 0) leave_to_reaper(pidfd);
}

bool child::is_over() noexcept {
  const thread_lock hold(lock);
  return over;
}

int child::look(int pidfd) noexcept {
  const thread_lock hold(lock);
  if (over) return 1;
  siginfo_t how{};
  const int result = ::waitid(P_PIDFD, static_cast<id_t>(pidfd), &how, WEXITED | WNOHANG);
  if (result == 0 && how.si_pid == 0) {
    heddle::detail::set_errno_here(EAGAIN);
    return -1;
  }
  over = true;
  if (result != 0)
    lost = last_error();
  else if (how.si_code == CLD_EXITED)
    status.code = how.si_status;
  else
    status.signal = how.si_status;
  return 1;
}

}  // namespace detail

process::process() noexcept = default;
process::process(process&&) noexcept = default;
process& process::operator=(process&&) noexcept = default;
process::~process() = default;

process::operator bool() const noexcept { return child_ != nullptr && !child_->is_over(); }
pid_t process::id() const noexcept { return child_ != nullptr ? child_->id : 0; }

exit_status process::wait(const limits& l, std::error_code& ec) noexcept {
  ec = std::make_error_code(std::errc::no_child_process);
  if (child_ == nullptr) return {};
  ec.clear();
  if (!child_->is_over())
    detail::perform(child_->end, detail::poll_side::read, l.bounds(), 0, ec,
                    [this](int pidfd) { return child_->look(pidfd); });
  if (ec) return {};
  const detail::thread_lock hold(child_->lock);
  ec = child_->lost;
  return child_->status;
}

exit_status process::wait(const limits& l) {
  std::error_code ec;
  const exit_status how = wait(l, ec);
  if (ec) throw error(ec, "wait for " + (child_ != nullptr ? child_->name : "no process"));
  return how;
}

exit_status process::wait_or_stop(const std::stop_token& stop, std::chrono::nanoseconds grace) {
  std::error_code ec;
  const exit_status how = wait(stop, ec);
  if (ec == std::errc::operation_canceled) return this->stop(grace);
  if (ec) throw error(ec, "wait for " + (child_ != nullptr ? child_->name : "no process"));
  return how;
}

exit_status process::stop(std::chrono::nanoseconds grace) {
  std::error_code ec;
  send(SIGTERM, ec);  // it may have ended
  const exit_status how = wait(grace, ec);
  if (!ec) return how;
  if (ec == std::errc::timed_out) send(SIGKILL, ec);
  return wait();
}

void process::send(int signal, std::error_code& ec) noexcept {
  ec = std::make_error_code(std::errc::no_such_process);
  if (child_ == nullptr) return;
  const detail::polled::use now(child_->end);
  const detail::thread_lock hold(child_->lock);
  if (!now || child_->over) return;
  ec.clear();
  if (::syscall(SYS_pidfd_send_signal, now.descriptor(), signal, nullptr, 0) != 0) ec = detail::last_error();
}

void process::send(int signal) {
  std::error_code ec;
  send(signal, ec);
  if (ec) throw error(ec, "signal " + (child_ != nullptr ? child_->name : "no process"));
}

}  // namespace heddle::io
