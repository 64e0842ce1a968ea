// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <exception>
#include <future>
#include <memory>
#include <type_traits>
#include <utility>

#include "heddle/detail/bounded_wait.hpp"
#include "heddle/detail/config.hpp"
#include "heddle/detail/deadline.hpp"
#include "heddle/detail/future_state.hpp"
#include "heddle/detail/start.hpp"

namespace heddle {

using std::future_errc;
using std::future_error;
using std::future_status;

template <class T>
class future;
template <class T>
class shared_future;
template <class T>
class promise;

namespace detail {

/// What future and shared_future have in common: a reference to a state, and waiting for it.
template <class T>
class future_base {
 public:
  /// Whether it refers to a result, come or to come. All but this, assignment and destruction need it, and throw
  /// std::future_error (no_state) otherwise.
  bool valid() const noexcept { return static_cast<bool>(state_); }

  /// Blocks the fiber (or the plain thread) until the result is there.
  void wait() const { state().wait(); }
  /// The same until a stop is requested. True: the result is there.
  bool wait(const stop_token& stop) const { return state().wait({.stop = &stop}); }
  /// Not longer than `d`, or until `t` of any clock has passed.
  template <class Rep, class Period>
  future_status wait_for(const std::chrono::duration<Rep, Period>& d) const {
    future_state<T>& s = state();
    return s.is_ready() || s.wait({.deadline = deadline_after(d)}) ? future_status::ready : future_status::timeout;
  }
  template <class Clock, class Duration>
  future_status wait_until(const std::chrono::time_point<Clock, Duration>& t) const {
    future_state<T>& s = state();
    return attempt_until(t, [&](nanoseconds_t deadline) { return s.wait({deadline}); }) ? future_status::ready
                                                                                        : future_status::timeout;
  }

 protected:
  future_base() noexcept = default;
  explicit future_base(state_ref<T> s) noexcept : state_(std::move(s)) {}
  future_state<T>& state() const {
    if (!state_) [[unlikely]]
      throw_future_error(future_errc::no_state);
    return *state_;
  }

  state_ref<T> state_;
};

}  // namespace detail

/// The right to the result, a value or an exception, that somebody will hand to a promise. As with std::future, nobody
/// hears of an exception for which no future is asked; see spawn() for one that is not lost. Waiting blocks the calling
/// fiber only.
///
///     heddle::promise<int> answer;
///     heddle::future<int> question = answer.get_future();
///     heddle::go([a = std::move(answer)]() mutable { a.set_value(42); });
///     assert(question.get() == 42);
///
/// As std::future, with a wait until a stop is requested besides. T is an object type, a reference, or void. Errors are
/// std::future_error with std's codes. A fiber's result is had more cheaply by heddle::spawn() and join().
///
/// Not thread-safe: one owner at a time (see share()). All O(1) plus the wait; no allocation but that of the promise.
/// From fibers and plain threads.
template <class T>
class [[nodiscard]] future : public detail::future_base<T> {
 public:
  future() noexcept = default;
  future(future&&) noexcept = default;
  future& operator=(future&&) noexcept = default;
  ~future() = default;
  /// The result, moved out; blocks until it is there. Throws the exception that was set. valid() is false afterwards.
  T get() {
    this->state();
    const detail::state_ref<T> last = std::move(this->state_);
    last->wait();
    return last->take();
  }
  /// The same result for any number of owners; valid() is false afterwards.
  shared_future<T> share() noexcept { return shared_future<T>(std::move(*this)); }

 private:
  friend class promise<T>;
  friend class shared_future<T>;
  explicit future(detail::state_ref<T> s) noexcept : detail::future_base<T>(std::move(s)) {}
};

/// A future that may be copied; each copy belongs to one owner at a time, and get() leaves the result in place. As
/// std::shared_future.
template <class T>
class shared_future : public detail::future_base<T> {
 public:
  shared_future() noexcept = default;
  // NOLINTNEXTLINE(google-explicit-constructor): as in std
  shared_future(future<T>&& f) noexcept : detail::future_base<T>(std::move(f.state_)) {}
  /// The result; blocks until it is there. Valid while a copy of the future is. Throws the exception that was set.
  std::conditional_t<std::is_object_v<T>, std::add_lvalue_reference_t<const T>, T> get() const {
    detail::future_state<T>& s = this->state();
    s.wait();
    return s.look();
  }
};

/// Where a result is handed over, once, by a fiber or plain thread, to the one who has the future.
///
/// As std::promise, without allocators and the _at_thread_exit functions. Setting is safe against other sets; the
/// future may be asked for, and the promise be destroyed, as soon as the result has been set. Destroyed without one, it
/// leaves the exception std::future_error (broken_promise).
///
/// Construction allocates and throws std::bad_alloc. O(1), set O(those who wait). From fibers and plain threads.
template <class T>
class promise {
  // What the overloads of set_value() take; something else where they cannot be called.
  using object = std::conditional_t<std::is_object_v<T>, T, detail::nothing>;
  using reference = std::conditional_t<std::is_reference_v<T>, T, detail::nothing&>;

 public:
  promise() : state_(detail::state_ref<T>::make()) {}
  promise(promise&& other) noexcept = default;
  promise& operator=(promise&& other) noexcept {
    promise(std::move(other)).swap(*this);
    return *this;
  }
  ~promise() {
    if (state_ && !state_->satisfied() && !state_->owned_alone()) state_->set_exception(detail::broken_promise());
  }
  void swap(promise& other) noexcept {
    std::swap(state_, other.state_);
    std::swap(asked_, other.asked_);
  }

  /// Once. Throws std::future_error: future_already_retrieved, no_state.
  [[nodiscard]] future<T> get_future() {
    shared();
    if (std::exchange(asked_, true)) detail::throw_future_error(future_errc::future_already_retrieved);
    return future<T>(state_);
  }
  /// Hands over a value. Throws std::future_error (promise_already_satisfied, no_state), or what copying or moving the
  /// value throws; then it is not set.
  void set_value(const object& value) requires std::is_object_v<T> { set(value); }
  void set_value(object&& value) requires std::is_object_v<T> { set(std::move(value)); }
  void set_value(reference value) requires std::is_reference_v<T> { set(value); }
  void set_value() requires std::is_void_v<T> { set(); }
  void set_exception(std::exception_ptr error) {
    const detail::state_ref<T> s = shared();  // as in set()
    if (!s->set_exception(std::move(error))) already_satisfied();
  }

 private:
  template <class... V>
  void set(V&&... value) {
    // A reference of its own: whoever has the future may destroy the promise as soon as the result is there.
    const detail::state_ref<T> s = shared();
    if (!s->set_value(std::forward<V>(value)...)) already_satisfied();
  }
  const detail::state_ref<T>& shared() const {
    if (!state_) [[unlikely]]
      detail::throw_future_error(future_errc::no_state);
    return state_;
  }
  [[noreturn]] static void already_satisfied() { detail::throw_future_error(future_errc::promise_already_satisfied); }

  detail::state_ref<T> state_;
  bool asked_ = false;
};

template <class T>
void swap(promise<T>& a, promise<T>& b) noexcept {
  a.swap(b);
}

/// A future whose result is there.
template <class T>
future<std::decay_t<T>> make_ready_future(T&& value) {
  promise<std::decay_t<T>> p;
  p.set_value(std::forward<T>(value));
  return p.get_future();
}
inline future<void> make_ready_future() {
  promise<void> p;
  p.set_value();
  return p.get_future();
}

}  // namespace heddle
