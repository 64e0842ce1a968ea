// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <boost/asio/async_result.hpp>
#include <chrono>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include "heddle/asio/detail/find_reactor.hpp"
#include "heddle/asio/detail/operation.hpp"
#include "heddle/asio/reactor.hpp"
#include "heddle/detail/deadline.hpp"
#include "heddle/detail/platform.hpp"

namespace heddle::asio {

template <bool Bounded, bool Named>
class basic_use_fiber;

namespace detail {
class token_access;
struct no_bounds {};
struct token_bounds {
  heddle::detail::nanoseconds_t deadline = heddle::detail::no_deadline;
  heddle::detail::stop_token stop = {};
};
}  // namespace detail

using use_fiber_t = basic_use_fiber<false, false>;

/// The completion token that has an operation of Boost.Asio, or of a library over it, block the calling fiber (or plain
/// thread) until it is over, and return its result:
///
///     std::size_t n = socket.async_read_some(buffer, heddle::asio::use_fiber);
///     auto entries = resolver.async_resolve("localhost", "80", use_fiber.within(2s));
///     boost::beast::http::async_read(stream, buffer, request, use_fiber[error]);
///
/// The object is made with the executor of a heddle::asio::reactor, on whose thread the operation begins and ends. The
/// call returns when the operation is over, so buffers need not outlive it.
///
/// Result: the arguments of the completion handler, decayed, without a leading error_code or exception_ptr: nothing, a
/// value, or a std::tuple. Errors: boost::system::system_error with that error_code, or that exception; what the
/// initiating function throws; operation_aborted if the handler is destroyed without a call. With [e] the error_code
/// goes to e, and the values are returned as they are. boost::asio::redirect_error and as_tuple work as well; a handler
/// that is destroyed throws from them.
/// \throws std::logic_error if the object is not one of a reactor, or on the reactor's own thread (in a handler, or in
///         reactor::call()), which it would block for ever.
///
/// Unlike boost::fibers' example and asio::yield_context it needs no io_context on the fiber's thread, and the fiber
/// may go on on any.
///
/// Two steps from thread to thread a call, some microseconds; no allocation but those of the operation, and one when
/// the reactor is woken. A token is a value: it may be kept and used again, but see within().
template <bool Bounded, bool Named>
class basic_use_fiber {
 public:
  constexpr basic_use_fiber() noexcept = default;

  /// The same for operations that do not tell what executor their object has; the compiler says so.
  [[nodiscard]] basic_use_fiber<Bounded, true> on(reactor& r) const {
    auto t = as<Bounded, true>();
    t.reactor_ = r.thread_.get();
    return t;
  }
  /// The same with a place for the error code, which is cleared if there is no error.
  [[nodiscard]] basic_use_fiber operator[](boost::system::error_code& e) const {
    basic_use_fiber t = *this;
    t.error_ = &e;
    return t;
  }

  /// The same, but the operation is cancelled when `d` has passed, from now on; at `t` of any clock, as it goes now; or
  /// when a stop is requested. Of several deadlines the earliest counts, of several stop tokens the last.
  ///
  /// It is cancelled by its cancellation slot, with all types of cancellation, on the reactor's thread, and awaited. An
  /// operation that has been done by then returns its result all the same, and one that does not look at its slot
  /// returns when it is over: a resolver's, for instance. For one that was cancelled operation_aborted becomes
  /// timed_out if the deadline was the reason (not in redirect_error and as_tuple).
  ///
  /// Needs Boost 1.77.
  template <class Rep, class Period>
  [[nodiscard]] basic_use_fiber<true, Named> within(std::chrono::duration<Rep, Period> d) const {
    static_assert(detail::has_slots && sizeof(Rep) != 0, "use_fiber.within() needs cancellation slots: Boost 1.77");
    return bounded(heddle::detail::deadline_after(d));
  }
  template <class Clock, class Duration>
  [[nodiscard]] basic_use_fiber<true, Named> until(std::chrono::time_point<Clock, Duration> t) const {
    static_assert(detail::has_slots && sizeof(Clock) != 0, "use_fiber.until() needs cancellation slots: Boost 1.77");
    return bounded(heddle::detail::deadline_at(t).deadline);
  }
  template <class Token = heddle::detail::stop_token>
  [[nodiscard]] basic_use_fiber<true, Named> stopped_by(Token stop) const {
    static_assert(detail::has_slots && sizeof(Token) != 0,
                  "use_fiber.stopped_by() needs cancellation slots: Boost 1.77");
    auto t = bounded(heddle::detail::no_deadline);
    t.bounds_.stop = std::move(stop);
    return t;
  }

  /// An executor whose objects use this token unless another one is named.
  template <class Executor>
  struct executor_with_default : Executor {
    using default_completion_token_type = basic_use_fiber;
    template <class From>
    requires(!std::is_same_v<From, executor_with_default> && std::is_convertible_v<From, Executor>)
        executor_with_default(const From& e)
    noexcept : Executor(e) {}  // NOLINT(google-explicit-constructor): as Asio's
  };
  /// The type of an object with such an executor: `use_fiber_t::as_default_on_t<tcp::socket>`.
  template <class T>
  using as_default_on_t = typename T::template rebind_executor<executor_with_default<typename T::executor_type>>::other;
  /// The object with such an executor.
  template <class T>
  static as_default_on_t<std::decay_t<T>> as_default_on(T&& object) {
    return as_default_on_t<std::decay_t<T>>(std::forward<T>(object));
  }

 private:
  template <bool, bool>
  friend class basic_use_fiber;
  friend class detail::token_access;

  template <bool AsBounded, bool AsNamed>
  basic_use_fiber<AsBounded, AsNamed> as() const {
    basic_use_fiber<AsBounded, AsNamed> t;
    t.reactor_ = reactor_;
    t.error_ = error_;
    if constexpr (Bounded) t.bounds_ = bounds_;
    return t;
  }
  /// The same with that deadline, if it has no earlier one.
  basic_use_fiber<true, Named> bounded(heddle::detail::nanoseconds_t deadline) const {
    auto t = as<true, Named>();
    t.bounds_.deadline = std::min(t.bounds_.deadline, deadline);
    return t;
  }

  detail::reactor_thread* reactor_ = nullptr;
  boost::system::error_code* error_ = nullptr;
  [[no_unique_address]] std::conditional_t<Bounded, detail::token_bounds, detail::no_bounds> bounds_;
};

inline constexpr use_fiber_t use_fiber;

namespace detail {

/// Runs operations as a token says.
class token_access {
 public:
  /// The result of an operation that start(handler) begins. `hints`: one of them tells which executor its object has.
  template <class Signature, bool Bounded, bool Named, class Start, class... Hints>
  static auto run(const basic_use_fiber<Bounded, Named>& token, Start start, Hints&... hints) {
    if constexpr (Named)
      return run_on<Signature>(*token.reactor_, token, start);
    else
      return run_on<Signature>(find_reactor(hints...), token, start);
  }

 private:
  template <class Signature, bool Bounded, bool Named, class Start>
  static auto run_on(reactor_thread& thread, const basic_use_fiber<Bounded, Named>& token, Start& start) {
    if (thread.is_here())
      throw std::logic_error("heddle::asio::use_fiber: called on the reactor's own thread, which it would block");
    const reactor_thread::pending_operation counted(thread);
    if constexpr (Bounded) {
      operation<bounded_receiver<Signature>, Start> op(thread, start);
      thread.send(op);
      const bool cancelled = op.await_or_cancel({token.bounds_.deadline, &token.bounds_.stop});
      return op.result.take(!cancelled || token.bounds_.stop.stop_requested(), token.error_);
    } else {
      operation<receiver<Signature>, Start> op(thread, start);
      thread.send(op);
      op.await();
      return op.result.take(true, token.error_);
    }
  }
};

}  // namespace detail
}  // namespace heddle::asio

template <bool Bounded, bool Named, class R, class... T>
class boost::asio::async_result<heddle::asio::basic_use_fiber<Bounded, Named>, R(T...)> {
  using token_type = heddle::asio::basic_use_fiber<Bounded, Named>;

 public:
  using return_type = typename heddle::asio::detail::outcome<R(T...)>::type;

  template <class Initiation, class... Args>
  static return_type initiate(Initiation&& initiation, const token_type& token, Args&&... args) {
    const auto start = [&](auto handler) {
      std::forward<Initiation>(initiation)(std::move(handler), std::forward<Args>(args)...);
    };
    return heddle::asio::detail::token_access::run<R(T...)>(token, start, initiation, args...);
  }
};
