// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <initializer_list>
#include <memory>
#include <span>
#include <system_error>

#include "heddle/channel.hpp"
#include "heddle/detail/config.hpp"
#include "heddle/io/limits.hpp"

namespace heddle::io {

namespace detail {
struct signal_state;
}

/// Signals of the process as values, so that fibers may do with them whatever they like: the usual end of a server, a
/// reload. Coalescing as Go's signal.Notify: however often a signal comes while nobody has taken it, it is there once;
/// after the last time that it came it is received at least once. None is lost to another number.
///
/// While an object lives its signals have a handler of heddle's (SA_ONSTACK | SA_RESTART) that only notes them. The
/// handler that was there before does not run; it comes back with the end of the last object for its signal, unless
/// somebody has set another one since. Any number of objects may be there for a signal: each receives it. A signal that
/// all threads block does not come. A forked child's signals are not its parent's.
///
/// \code
/// heddle::run([] {
///   heddle::io::signals asked({SIGINT, SIGTERM});
///   heddle::go(serve);
///   std::printf("signal %d: we end\n", asked.receive());
/// });
/// \endcode
class HEDDLE_EXPORT signals {
 public:
  /// Throws io::error: std::errc::invalid_argument for a number that is none, for SIGKILL and SIGSTOP, and for faults
  /// of the thread that gets them (SIGSEGV, SIGBUS, SIGFPE, SIGILL); too_many_files_open. From anywhere but a handler.
  explicit signals(std::initializer_list<int> numbers) : signals(std::span(numbers.begin(), numbers.size())) {}
  explicit signals(std::span<const int> numbers);
  signals(const signals&) = delete;
  signals& operator=(const signals&) = delete;
  /// Nobody may be receiving then, but from received().
  ~signals();

  /// The next signal, the lowest number first; waits for it, on a fiber or a plain thread. Several may wait: each
  /// signal goes to one of them. Errors: those of limits; 0 is returned then.
  int receive(const limits& l, std::error_code& ec) noexcept;
  int receive(const limits& l = {});
  /// A signal that has come, or 0. Never waits.
  int try_receive() noexcept;

  /// The same as a channel without a buffer, for select. The first call, which must be made on a fiber, starts a fiber
  /// that sends what it receives; it ends with this object. So run() does not return before that.
  channel<int>& received();

 private:
  std::unique_ptr<detail::signal_state> state_;
};

}  // namespace heddle::io
