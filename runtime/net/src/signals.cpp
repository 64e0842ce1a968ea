// SPDX-License-Identifier: BSL-1.0
#include "heddle/io/signals.hpp"

#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <bit>
#include <mutex>
#include <string>

#include "heddle/fiber.hpp"
#include "outcome.hpp"
#include "signal_handlers.hpp"

namespace heddle::io {
namespace detail {

/// A signal that has come is a bit in the subscription; whoever waits for one waits for the event counter.
struct signal_state {
  signal_state(signal_set wanted, int event) : changes(event), noted(subscribe(wanted, event)) {}
  ~signal_state() {
    stop.request_stop();
    if (forwarder.joinable()) forwarder.join();
    unsubscribe(noted);
  }
  signal_state(const signal_state&) = delete;
  signal_state& operator=(const signal_state&) = delete;

  /// Takes the lowest signal that has come, or 0. If another is left, another that waits is told.
  int take() noexcept;

  polled changes;
  subscription& noted;
  channel<int> values;
  std::once_flag forwards;
  std::stop_source stop;
  join_handle<void> forwarder;
};

int signal_state::take() noexcept {
  signal_set all = noted.pending.load(std::memory_order_relaxed);
  while (all != 0) {
    const signal_set rest = all & (all - 1);
    if (!noted.pending.compare_exchange_weak(all, rest, std::memory_order_relaxed)) continue;
    if (rest != 0) ::eventfd_write(changes.descriptor(), 1);
    return std::countr_zero(all) + 1;
  }
  return 0;
}

}  // namespace detail

namespace {

bool may_be_received(int number) noexcept {
  if (number < 1 || number > detail::most_signals) return false;
  for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL})
    if (number == fault) return false;
  return true;
}

detail::signal_set set_of(std::span<const int> numbers) {
  detail::signal_set all = 0;
  for (const int n : numbers) {
    if (!may_be_received(n))
      throw error(std::make_error_code(std::errc::invalid_argument), "receive signal " + std::to_string(n));
    all |= detail::bit_of(n);
  }
  return all;
}

int new_event_counter() {
  const int event = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (event < 0) throw error(detail::last_error(), "receive signals");
  return event;
}

}  // namespace

signals::signals(std::span<const int> numbers) {
  const detail::signal_set wanted = set_of(numbers);
  state_ = std::make_unique<detail::signal_state>(wanted, new_event_counter());
}

signals::~signals() = default;

int signals::try_receive() noexcept { return state_->take(); }

int signals::receive(const limits& l, std::error_code& ec) noexcept {
  ec.clear();
  for (;;) {
    if (const int number = state_->take(); number != 0) return number;
    eventfd_t n = 0;
    detail::perform(state_->changes, detail::poll_side::read, l.bounds(), 0, ec,
                    [&n](int fd) { return ::read(fd, &n, sizeof n); });
    if (ec) return 0;
  }
}

int signals::receive(const limits& l) {
  std::error_code ec;
  const int number = receive(l, ec);
  if (ec) throw error(ec, "receive a signal");
  return number;
}

channel<int>& signals::received() {
  std::call_once(state_->forwards, [this] {
    state_->forwarder = spawn(fiber_options{.name = "signals"}, [this] {
      const std::stop_token stop = state_->stop.get_token();
      std::error_code ec;
      while (const int number = receive(stop, ec))
        if (!state_->values.send(number, stop)) return;
    });
  });
  return state_->values;
}

}  // namespace heddle::io
