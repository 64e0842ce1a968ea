// SPDX-License-Identifier: BSL-1.0
//
// The connections that net::serve() serves.
#pragma once

#include <chrono>
#include <exception>
#include <functional>
#include <mutex>
#include <string>
#include <system_error>
#include <utility>

#include "heddle/condition_variable.hpp"
#include "heddle/detail/config.hpp"
#include "heddle/io/error.hpp"
#include "heddle/mutex.hpp"

namespace heddle::net::detail {

class connection;

/// 1. `admitted_` counts connections that run, and the one for which accept() waits. It never exceeds `most_`.
/// 2. A connection is in the list from its fiber's begin to its handler's end, so whoever holds the lock may close it.
/// 3. `reserve_` is a descriptor for the case that no other is left. It is given up for one connection, and taken back
///    before the next is accepted.
class HEDDLE_EXPORT connections {
 public:
  using exception_handler = std::function<void(const std::exception_ptr&, const std::string&)>;

  connections(std::size_t most, std::chrono::nanoseconds grace, const heddle::detail::stop_token& stop,
              const exception_handler& on_exception);
  ~connections();
  connections(const connections&) = delete;
  connections& operator=(const connections&) = delete;

  /// Waits until one more may be accepted; false: a stop was requested.
  bool admit();
  void leave() noexcept;
  /// After accept() has failed: waits if it is worth another attempt, and says whether it is.
  bool recovers(const std::error_code& ec, const std::string& listener);
  /// The error that serve() is to throw for ec: none if it is a stop or a close.
  std::error_code failure(const std::error_code& ec) const noexcept;
  /// Calls f, which starts the fiber of an admitted connection; if it throws the connection is dropped.
  template <class F>
  void start(F f, const std::string& listener) {
    accepted();
    try {
      f();
    } catch (const std::exception& e) {
      not_started(e.what(), listener);
    }
  }
  /// Waits for all connections; closes those that are left after the grace period.
  void wind_down() noexcept;
  const heddle::detail::stop_token& stop() const noexcept { return stop_; }

 private:
  friend class connection;
  void accepted();
  void not_started(const char* why, const std::string& listener);
  void report(const std::exception_ptr& e, const std::string& peer) const noexcept;

  const std::size_t most_;
  const std::chrono::nanoseconds grace_;
  const heddle::detail::stop_token& stop_;
  const exception_handler& on_exception_;
  mutex lock_;
  condition_variable changed_;  // a connection has ended
  std::size_t admitted_ = 0;
  connection* first_ = nullptr;
  bool closing_ = false;  // the grace period is over
  int reserve_ = -1;
  bool shortage_told_ = false;
  unsigned in_a_row_ = 0;
  std::chrono::milliseconds pause_;
};

/// The right to one connection, given back in every way out unless the connection's fiber has it.
class admission {
 public:
  explicit admission(connections& all) noexcept : all_(&all) {}
  admission(const admission&) = delete;
  admission& operator=(const admission&) = delete;
  ~admission() { give_back(); }

  void give_back() noexcept {
    if (all_ != nullptr) std::exchange(all_, nullptr)->leave();
  }
  /// To connections::start(), which gives it back if there is no fiber.
  void hand_over() noexcept { all_ = nullptr; }

 private:
  connections* all_;
};

/// One of them, on its fiber; its stream is of any kind that has close() and name(). On stacks that grow a function
/// that is not inlined asks for a large segment itself; inlined, its caller would, and keep that while it serves.
class HEDDLE_EXPORT connection {
 public:
  template <class Stream>
  [[gnu::noinline]] connection(connections& all, Stream& s)
      : connection(
            all, &s, [](void* stream) noexcept { static_cast<Stream*>(stream)->close(); },
            [](void* stream) { return static_cast<Stream*>(stream)->name(); }) {}
  [[gnu::noinline]] ~connection() { end(); }
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;

  template <class F>
  void run(F handler) const {
    try {
      handler();
    } catch (...) {
      tell();
    }
  }

 private:
  friend class connections;
  using closing = void (*)(void* stream) noexcept;
  using naming = std::string (*)(void* stream);
  connection(connections& all, void* stream, closing close, naming name);
  [[gnu::noinline]] void tell() const noexcept { report(std::current_exception()); }
  void report(const std::exception_ptr& e) const noexcept;
  void end() noexcept;

  connections& all_;
  void* const stream_;
  const closing close_;
  const naming name_;
  connection* next_ = nullptr;
  connection* previous_ = nullptr;
};

}  // namespace heddle::net::detail
