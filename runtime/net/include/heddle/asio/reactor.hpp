// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <memory>
#include <type_traits>
#include <utility>

#include "heddle/asio/detail/call.hpp"
#include "heddle/asio/detail/reactor_thread.hpp"

namespace heddle::asio {

/// A boost::asio::io_context with the one plain thread that runs it: what the objects of Asio, of Beast and of other
/// libraries over Asio are made with, so that fibers may use them by use_fiber.
///
///     heddle::asio::reactor reactor;
///     boost::asio::ip::tcp::acceptor acceptor(reactor.get_executor(), endpoint);
///     auto socket = acceptor.async_accept(heddle::asio::use_fiber);
///
/// Not a thread that calls run(): each operation of use_fiber begins on the reactor's thread, and its handlers run
/// there. So no two threads are inside an object at the same time, as if each had a strand, and many fibers may use the
/// same one. (What the object's library forbids to overlap, such as two reads of a WebSocket, stays forbidden.) Fibers
/// never run the io_context themselves: it keeps lists of its callers in thread-locals, and fibers change threads.
///
/// An object of which no operation is pending may be made, asked, closed and destroyed from anywhere. While one is
/// pending, that is done by call().
///
/// Handlers of other tokens run on this thread as well; they must not block, and an exception that leaves one ends the
/// process. `context().stop()` ends nothing: the thread goes on at once. While a reactor is there its thread might wake
/// any fiber, so no deadlock is reported. It does not survive a fork.
class reactor {
 public:
  using executor_type = boost::asio::io_context::executor_type;

  /// Starts the thread. Throws std::system_error if there is none to be had.
  reactor() : thread_(std::make_unique<detail::reactor_thread>()) {}
  reactor(const reactor&) = delete;
  reactor& operator=(const reactor&) = delete;
  /// Ends the thread. Every object made with it must have been destroyed. If an operation of use_fiber is pending the
  /// process ends with a message; but at the end of the process it is left behind, with its fiber and the thread.
  /// Operations with other handlers end as those of any io_context do: the handlers are destroyed.
  ~reactor() {
    if (thread_->end()) return;
    (void)thread_.release();  // the process exits, and others are still at it
  }

  executor_type get_executor() noexcept { return context().get_executor(); }
  boost::asio::io_context& context() noexcept { return thread_->context(); }

  /// Runs f() on the reactor's thread, between the steps of operations, and returns what it returns, or throws what it
  /// throws; blocks the calling fiber (or plain thread) meanwhile. For what must not meet a pending operation, such as
  /// closing the object:
  ///
  ///     reactor.call([&] { socket.close(); });  // fibers that read get operation_aborted
  ///
  /// f must neither block nor call use_fiber. In order with the operations that the caller has begun before, and with
  /// those of others as they come. O(1) plus the wait. On the reactor's own thread it just calls f.
  template <class F>
  std::invoke_result_t<F> call(F&& f) {
    return detail::called_there(*thread_, std::forward<F>(f));
  }

 private:
  template <bool, bool>
  friend class basic_use_fiber;
  std::unique_ptr<detail::reactor_thread> thread_;
};

}  // namespace heddle::asio
