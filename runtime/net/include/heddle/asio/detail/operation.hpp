// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/version.hpp>
#include <exception>
#include <utility>

#include "heddle/asio/detail/errand.hpp"
#include "heddle/asio/detail/outcome.hpp"
#include "heddle/asio/detail/reactor_thread.hpp"
#include "heddle/detail/bounded_wait.hpp"
#include "heddle/detail/platform.hpp"

#if BOOST_ASIO_VERSION >= 101900
#include <boost/asio/cancellation_signal.hpp>
#define HEDDLE_ASIO_HAS_SLOTS 1
#else
#define HEDDLE_ASIO_HAS_SLOTS 0
#endif

namespace heddle::asio::detail {

/// Whether operations can be cancelled one by one. Since Boost 1.77.
inline constexpr bool has_slots = HEDDLE_ASIO_HAS_SLOTS;

/// The completion handler of an operation. Whoever has it holds the receiver, and lets go of it by calling or
/// destroying it, on whatever thread.
template <class Receiver>
class receiving_handler {
 public:
  using executor_type = boost::asio::io_context::executor_type;

  explicit receiving_handler(Receiver& r) noexcept : receiver_(&r), executor_(r.thread.context().get_executor()) {}
  receiving_handler(receiving_handler&& other) noexcept
      : receiver_(std::exchange(other.receiver_, nullptr)), executor_(other.executor_) {}
  receiving_handler& operator=(receiving_handler&&) = delete;
  ~receiving_handler() {
    if (receiver_ != nullptr) receiver_->abandon();
  }

  template <class... V>
  void operator()(V&&... values) {
    std::exchange(receiver_, nullptr)->answer(std::forward<V>(values)...);
  }
  executor_type get_executor() const noexcept { return executor_; }

 protected:
  Receiver* receiver_;

 private:
  executor_type executor_;
};

/// The caller's wait for its operation. Held by the initiation while it runs, and by the handler.
template <class Signature>
class receiver : public errand {
 public:
  using handler = receiving_handler<receiver>;

  receiver(reactor_thread& t, void (*begin)(command&) noexcept) noexcept : errand(begin, 2), thread(t) {}
  template <class... V>
  void answer(V&&... values) noexcept {
    answered_.store(true, std::memory_order_relaxed);
    result.set(std::forward<V>(values)...);
    let_go();
  }
  void abandon() noexcept {
    answered_.store(true, std::memory_order_relaxed);
    result.abandon();
    let_go();
  }
  bool is_answered() const noexcept { return answered_.load(std::memory_order_relaxed); }

  reactor_thread& thread;
  outcome<Signature> result;

 private:
  heddle::detail::atomic<bool> answered_{false};
};

#if HEDDLE_ASIO_HAS_SLOTS
template <class Receiver>
class cancellable_handler : public receiving_handler<Receiver> {
 public:
  using cancellation_slot_type = boost::asio::cancellation_slot;
  using receiving_handler<Receiver>::receiving_handler;
  cancellation_slot_type get_cancellation_slot() const noexcept { return this->receiver_->signal.slot(); }
};

/// The same for an operation that can be cancelled.
template <class Signature>
class bounded_receiver : public receiver<Signature> {
  struct cancel_command : command {
    explicit cancel_command(bounded_receiver& r) noexcept : command(cancel), of(r) {}
    static void cancel(command& c) noexcept {
      bounded_receiver& r = static_cast<cancel_command&>(c).of;
      // An operation that is over may have left in the slot what leads to things that are gone.
      if (!r.is_answered()) r.signal.emit(boost::asio::cancellation_type::all);
      r.let_go();
    }
    bounded_receiver& of;
  };

 public:
  using handler = cancellable_handler<bounded_receiver>;

  bounded_receiver(reactor_thread& t, void (*begin)(command&) noexcept) noexcept
      : receiver<Signature>(t, begin), cancel_(*this) {}
  /// Waits for the end of the operation, which is cancelled at the end of the bounds. Returns whether it was.
  bool await_or_cancel(const heddle::detail::wait_bounds& bounds) {
    return this->await(bounds, cancel_, [this](command& c) noexcept { this->thread.send(c); });
  }

  boost::asio::cancellation_signal signal;  // used on the reactor's thread only

 private:
  cancel_command cancel_;
};
#else
template <class Signature>
class bounded_receiver;  // there is none
#endif

/// With what begins it: start(handler), which an exception may leave.
template <class Receiver, class Start>
class operation : public Receiver {
 public:
  operation(reactor_thread& t, Start& start) noexcept : Receiver(t, begin), start_(start) {}

 private:
  static void begin(command& c) noexcept {
    auto& self = static_cast<operation&>(c);
    try {
      self.start_(typename Receiver::handler(self));
    } catch (...) {
      self.result.fail(std::current_exception());
    }
    self.let_go();
  }
  Start& start_;
};

}  // namespace heddle::asio::detail
