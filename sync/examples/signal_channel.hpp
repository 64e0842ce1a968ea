// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <initializer_list>
#include <system_error>

#include "heddle/blocking.hpp"
#include "heddle/channel.hpp"
#include "heddle/fiber.hpp"

namespace examples {

/// Signals as values of a channel, so that fibers may do with them whatever they like: the usual end of a server.
///
///     examples::signal_channel asked({SIGINT, SIGTERM});  // before the runtime starts
///     heddle::run([&] {
///       asked.watch();
///       heddle::go(serve);
///       std::printf("signal %d: we end\n", asked.received().receive().value());
///       asked.stop();
///     });
///
/// Make it before there are other threads: they inherit that the signals are blocked, and would take them otherwise. A
/// handler may do little, since it may have interrupted anything; here there is none. One kernel thread sleeps for the
/// channel in the system. A signal that comes while the channel is full is lost, as it is when it comes twice.
class signal_channel {
 public:
  explicit signal_channel(std::initializer_list<int> signals) {
    sigset_t set;
    ::sigemptyset(&set);
    for (const int s : signals) ::sigaddset(&set, s);
    signals_ = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    stop_ = ::eventfd(0, EFD_CLOEXEC);
    if (signals_ < 0 || stop_ < 0) throw std::system_error(errno, std::generic_category(), "signal_channel");
    ::pthread_sigmask(SIG_BLOCK, &set, &before_);
  }
  signal_channel(const signal_channel&) = delete;
  signal_channel& operator=(const signal_channel&) = delete;
  ~signal_channel() {
    stop();
    ::close(signals_);
    ::close(stop_);
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }

  /// Starts the fiber that waits for them.
  void watch() {
    watcher_ = heddle::spawn(heddle::fiber_options{.name = "signals"}, [this] {
      while (heddle::blocking([this] { return sleep(); })) {
        signalfd_siginfo one;
        if (::read(signals_, &one, sizeof one) == sizeof one) (void)received_.try_send(static_cast<int>(one.ssi_signo));
      }
    });
  }
  /// Ends it. A runtime would wait for it otherwise.
  void stop() {
    if (!watcher_.joinable()) return;
    ::eventfd_write(stop_, 1);
    watcher_.join();
    eventfd_t again = 0;
    ::eventfd_read(stop_, &again);
  }
  heddle::channel<int>& received() { return received_; }

 private:
  /// False: stop() has been called.
  bool sleep() const {
    std::array<pollfd, 2> any{{{signals_, POLLIN, 0}, {stop_, POLLIN, 0}}};
    while (::poll(any.data(), any.size(), -1) < 0 && errno == EINTR) {
    }
    return any[1].revents == 0;
  }

  int signals_ = -1;
  int stop_ = -1;
  sigset_t before_{};
  heddle::channel<int> received_{16};
  heddle::join_handle<void> watcher_;
};

}  // namespace examples
