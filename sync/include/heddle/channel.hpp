// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstddef>
#include <exception>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include "heddle/detail/config.hpp"
#include "heddle/detail/deadline.hpp"
#include "heddle/detail/typed_channel.hpp"
#include "heddle/received.hpp"

namespace heddle {

template <class T>
class receive_case;
template <class T>
class send_case;
namespace detail {
class clockwork;
}

/// Thrown by send() and try_send() on a closed channel, and by close() on one that is closed already.
class HEDDLE_EXPORT channel_closed : public std::logic_error {
 public:
  explicit channel_closed(const char* operation);
  ~channel_closed() override;
};

/// A queue of values between fibers, plain threads, or both. Without a capacity a send waits for its receive; with
/// one, sends run ahead by that many values. Waiting blocks the calling fiber only.
///
///     heddle::run([] {
///       heddle::channel<std::string> lines(16);
///       heddle::go([&] {
///         for (int i = 0; i < 100; ++i) lines.send(std::to_string(i));
///         lines.close();
///       });
///       for (const std::string& line : lines) std::puts(line.c_str());   // until closed and drained
///     });
///
/// Std has no counterpart. Unlike a Go channel it is an object, not a reference to one: share it by reference or by
/// std::shared_ptr, and let nobody use it when it is destroyed (values left inside are destroyed with it;
/// a fiber left waiting ends the process with a message). Receiving from a closed channel gives nullopt instead
/// of a zero value; what is a panic in Go is the exception channel_closed here.
///
/// Order: values of one sender arrive in the order sent; blocked senders, and blocked receivers, are served first
/// come first served. What a sender did before send() is seen by the one who received the value.
///
/// T needs a move constructor only. Its moves run under the channel's lock: they must not block, nor use the
/// channel. A move that throws loses and duplicates nothing: on the way in it is send() that throws, and the
/// value is still the caller's; on the way out of the buffer it is receive(), and the value is still the
/// first in the buffer (in the state that T's move constructor left it in).
///
/// Bounds: the forms with a duration, a time point of any clock, or a stop token wait no longer than that says. What
/// can be done at once is done even if the bounds leave no time. A receiver with bounds into whose place a move throws
/// loses its turn to those who wait behind it.
///
/// All operations: O(1), but close() O(those who wait). From fibers and plain threads.
///
/// Source: Go's runtime/chan.go (one lock, direct hand-over between the stacks of sender and receiver).
template <class T>
class channel {
  static_assert(std::is_object_v<T> && !std::is_array_v<T> && !std::is_const_v<T>, "a channel carries objects");
  static_assert(std::is_move_constructible_v<T>, "a value must be movable to get from one fiber to another");
  static_assert(std::is_nothrow_destructible_v<T>, "a value must be destructible without an exception");

 public:
  using value_type = T;
  class iterator;

  /// An open channel. Capacity 0: each send waits for its receive. Throws std::bad_alloc, or std::bad_array_new_length
  /// for a capacity beyond the address space. The buffer is allocated at once: capacity * sizeof(T) bytes.
  explicit channel(std::size_t capacity = 0) : inner_(capacity) {}
  channel(const channel&) = delete;
  channel& operator=(const channel&) = delete;

  /// Sends a value; blocks while no receiver waits and the buffer is full.
  /// Throws channel_closed if the channel is closed, also when that happens while it waits (the value then stays
  /// with the caller, not moved from), and what copying or moving T throws.
  void send(T&& value) {
    detail::channel_lock lock(inner_);
    if (inner_.offer(value, lock)) [[likely]]
      return;
    inner_.send_blocked(value, lock);
  }
  void send(const T& value) { send(T(value)); }

  /// Sends, but waits no longer than until a stop is requested (of a std::stop_token), `d` has passed, or `t` has been
  /// reached, whichever comes first. False: not sent, and the value stays with the caller, not moved from.
  /// Throws as send() does.
  [[nodiscard]] bool send(T&& value, const detail::stop_token& stop) {
    return sent(inner_.send_within(value, [&] { return detail::wait_bounds{.stop = &stop}; }));
  }
  [[nodiscard]] bool send(const T& value, const detail::stop_token& stop) { return send(T(value), stop); }
  template <class Rep, class Period>
  [[nodiscard]] bool send_for(T&& value, std::chrono::duration<Rep, Period> d, const detail::stop_token& stop = {}) {
    return sent(inner_.send_within(value, [&] { return detail::wait_bounds{detail::deadline_after(d), &stop}; }));
  }
  template <class Rep, class Period>
  [[nodiscard]] bool send_for(const T& value, std::chrono::duration<Rep, Period> d,
                              const detail::stop_token& stop = {}) {
    return send_for(T(value), d, stop);
  }
  template <class Clock, class Duration>
  [[nodiscard]] bool send_until(T&& value, std::chrono::time_point<Clock, Duration> t,
                                const detail::stop_token& stop = {}) {
    return sent(until(t, stop, [&](auto within) { return inner_.send_within(value, within); }));
  }
  template <class Clock, class Duration>
  [[nodiscard]] bool send_until(const T& value, std::chrono::time_point<Clock, Duration> t,
                                const detail::stop_token& stop = {}) {
    return send_until(T(value), t, stop);
  }

  /// Sends if that can be done without blocking; else returns false, and the value stays with the caller.
  /// Throws as send() does.
  [[nodiscard]] bool try_send(T&& value) {
    detail::channel_lock lock(inner_);
    return inner_.offer(value, lock);
  }
  [[nodiscard]] bool try_send(const T& value) { return try_send(T(value)); }

  /// Receives the oldest value; blocks while there is none. nullopt: the channel is closed and drained.
  /// Throws what moving T out of the buffer throws.
  [[nodiscard]] std::optional<T> receive() {
    std::optional<T> value;
    inner_.receive_into(value);
    return value;
  }

  /// Receives, but waits no longer than until a stop is requested, `d` has passed, or `t` has been reached. The result
  /// has the value, or says why there is none. Throws as receive() does.
  received<T> receive(const detail::stop_token& stop) {
    received<T> result;
    result.status_ = inner_.receive_within(result.value_, [&] { return detail::wait_bounds{.stop = &stop}; });
    return result;
  }
  template <class Rep, class Period>
  received<T> receive_for(std::chrono::duration<Rep, Period> d, const detail::stop_token& stop = {}) {
    received<T> result;
    result.status_ = inner_.receive_within(result.value_, [&] {
      return detail::wait_bounds{detail::deadline_after(d), &stop};
    });
    return result;
  }
  template <class Clock, class Duration>
  received<T> receive_until(std::chrono::time_point<Clock, Duration> t, const detail::stop_token& stop = {}) {
    received<T> result;
    result.status_ = until(t, stop, [&](auto within) { return inner_.receive_within(result.value_, within); });
    return result;
  }

  /// Receives if that can be done without blocking. nullopt: nothing there now. It is the last word only if
  /// closed() was true before the call.
  [[nodiscard]] std::optional<T> try_receive() {
    std::optional<T> value;
    detail::channel_lock lock(inner_);
    inner_.take(value, lock);
    return value;
  }

  /// Closes: blocked and later senders get channel_closed; receivers get what is in the buffer and then nullopt.
  /// Anybody may close. Throws channel_closed if it was closed before. Never blocks.
  void close() {
    if (!inner_.close()) detail::throw_channel_closed("close()");
  }

  /// A snapshot, which others may have changed by the time it is looked at; only "closed" is for ever.
  [[nodiscard]] bool closed() const noexcept {
    std::lock_guard lock(inner_);
    return inner_.closed();
  }
  /// Values in the buffer now: a snapshot. 0 for a channel without capacity.
  [[nodiscard]] std::size_t size() const noexcept {
    std::lock_guard lock(inner_);
    return inner_.size();
  }
  [[nodiscard]] std::size_t capacity() const noexcept { return inner_.capacity(); }

  /// For range-for: each step receives one value, until the channel is closed and drained. A channel is an input range,
  /// gone through once, and by several at the same time if they like; see iterator.
  [[nodiscard]] iterator begin() { return iterator(*this); }
  [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

 private:
  friend class receive_case<T>;
  friend class send_case<T>;
  friend class detail::clockwork;

  static bool sent(channel_status how) noexcept { return how == channel_status::received; }
  /// attempt(bounds) until it ends otherwise than by its deadline, or `t` has been reached.
  template <class Time, class Attempt>
  static channel_status until(Time t, const detail::stop_token& stop, Attempt attempt) {
    channel_status how = channel_status::timed_out;
    detail::attempt_until(t, [&](detail::nanoseconds_t deadline) {
      how = attempt([&] { return detail::wait_bounds{deadline, &stop}; });
      return how != channel_status::timed_out;
    });
    return how;
  }

  mutable detail::typed_channel<T> inner_;
};

/// The iterator of range-for over a channel: an input iterator that owns the value last received. It receives as late
/// as it can: when it is compared with the end, or dereferenced, or stepped beyond a value that nobody has looked at.
/// So a value that a view does not ask for stays in the channel:
///
///     for (int v : c | std::views::take(3)) ...          // receives three values, and waits for no fourth
///     c | std::views::filter(f), transform(f), drop(n)    // receive what they pass over, too
///     c | std::views::filter(f) | std::views::take(3)     // filter looks for a fourth one, and drops it
///     c | std::views::take_while(f)                       // has received, and drops, the first one that f refuses
///
/// size() counts the values in the buffer, not those of the range; std::ranges::size() and empty() do not compile, and
/// std::ranges::distance() receives all values until the channel is closed. Views that look at a value twice (split,
/// reverse, common) do not compile either; lazy_split does. A copy has a copy of the value, and goes its own way.
template <class T>
class channel<T>::iterator {
 public:
  using iterator_concept = std::input_iterator_tag;
  using value_type = T;
  using difference_type = std::ptrdiff_t;

  explicit iterator(channel& source) noexcept : source_(&source) {}
  /// The value; it may be moved from. Receives it, if that has not been done; not at the end.
  T& operator*() const {
    if (!value_) [[unlikely]]
      look_apart();
    return *value_;
  }
  T* operator->() const { return std::addressof(**this); }
  iterator& operator++() {
    if (!value_) [[unlikely]]
      look_apart();  // at the one that is left out
    value_.reset();
    return *this;
  }
  void operator++(int) { ++*this; }
  /// Whether the channel is closed and drained; blocks until that is known.
  friend bool operator==(const iterator& at, std::default_sentinel_t) {
    if (!at.value_) [[likely]]
      at.look();
    return !at.value_.has_value();
  }

 private:
  void look() const { source_->inner_.receive_into(value_); }
  [[gnu::noinline]] void look_apart() const { look(); }

  channel* source_;
  mutable std::optional<T> value_;  // empty: still to be received; at the end it stays so
};

namespace detail {
template <class T>
void takes_a_channel(channel<T>&);
}

}  // namespace heddle

/// Holds for derived classes too: size() may change at any time, and is not how many values there are to come.
template <class C>
requires requires(C& c) { heddle::detail::takes_a_channel(c); }
inline constexpr bool std::ranges::disable_sized_range<C> = true;
