// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <ostream>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include "heddle/detail/start.hpp"

namespace heddle {

/// Names a fiber for as long as the process lives; 0 is no fiber.
class fiber_id {
 public:
  constexpr fiber_id() noexcept = default;
  constexpr explicit fiber_id(std::uint64_t number) noexcept : number_(number) {}
  constexpr std::uint64_t number() const noexcept { return number_; }
  friend constexpr auto operator<=>(fiber_id, fiber_id) noexcept = default;
  template <class C, class T>
  friend std::basic_ostream<C, T>& operator<<(std::basic_ostream<C, T>& out, fiber_id id) {
    return out << id.number_;
  }

 private:
  std::uint64_t number_ = 0;
};

/// Runs f(args...) on a fiber of its own, now or soon, and forgets it. As with std::thread, f and args are
/// moved or copied into the fiber. Never suspends the caller.
/// A call larger than 88 bytes, or aligned to more than 16, is built on the heap and called there: it takes no room on
/// the stack of the caller or the fiber.
///
/// An exception that leaves f ends the process with a report that names the fiber.
///
/// f begins with the caller's floating-point environment (rounding, flush to zero, exception masks and flags of SSE;
/// rounding, precision and masks of x87), as a std::thread does. Its settings are its own: kept while it is suspended,
/// and gone when it has ended. Built with HEDDLE_SWITCH=fast they are not kept: there a fiber must be back at the
/// environment of the thread that started the runtime whenever it may be suspended.
///
/// \throws std::bad_alloc; std::system_error if the runtime must be started and no kernel thread can be had; what
///         moving f or args throws.
/// Complexity: O(1), about 20 ns; no allocation if f and args fit into 88 bytes. From fibers and plain threads; the
/// latter start a runtime with default options if none runs.
/// Source: the go statement of the Go language.
///
/// \code
/// heddle::go([](int n) { std::printf("%d\n", n); }, 7);
/// \endcode
template <class F, class... A>
requires std::is_invocable_v<std::decay_t<F>, std::decay_t<A>...>
void go(F&& f, A&&... args) {
  detail::start_detached(nullptr, detail::nothing(), std::forward<F>(f), std::forward<A>(args)...);
}

/// The same for a fiber with a name or a stack size of its own. Throws std::invalid_argument for a stack size out
/// of range.
template <class F, class... A>
requires std::is_invocable_v<std::decay_t<F>, std::decay_t<A>...>
void go(const fiber_options& o, F&& f, A&&... args) {
  detail::start_detached(&o, detail::nothing(), std::forward<F>(f), std::forward<A>(args)...);
}

namespace detail {
struct spawning;
}

/// The right to wait for one fiber and to have what it returned. Like std::jthread, and unlike std::thread, it
/// joins when destroyed; unlike both, join() returns the value or rethrows the exception.
/// Not thread-safe: one owner at a time; it may be moved between fibers and threads.
/// In a forked child, where the fiber does not exist, its destructor waits for nothing, and join() of a fiber that had
/// not ended exits with status 70 and a message.
template <class R>
class [[nodiscard]] join_handle {
 public:
  join_handle() noexcept = default;
  join_handle(join_handle&& other) noexcept : fiber_(std::exchange(other.fiber_, nullptr)), take_(other.take_) {}
  join_handle& operator=(join_handle&& other) noexcept {
    if (this != &other) {
      drop();
      fiber_ = std::exchange(other.fiber_, nullptr);
      take_ = other.take_;
    }
    return *this;
  }
  /// Waits for the fiber. Its result is dropped; its exception is reported, see options::lost_exceptions.
  ~join_handle() { drop(); }

  bool joinable() const noexcept { return fiber_ != nullptr; }
  fiber_id get_id() const noexcept { return fiber_id(fiber_ ? detail::fiber_number(fiber_) : 0); }

  /// Waits until the fiber has ended; blocks the fiber or the plain thread. Returns its value.
  /// A fiber that has not begun may run on the stack of its joiner, if fifteen sixteenths of that are free. The
  /// caller's floating-point environment stays as it was, whatever the fiber has done to its own. \throws the
  /// exception of the fiber; std::logic_error if not joinable.
  R join() {
    if (fiber_ == nullptr) throw std::logic_error("heddle::join_handle::join: nothing to join");
    detail::join_fiber(fiber_);
    struct release {
      detail::fiber* f;
      ~release() { detail::release_fiber(f); }
    } at_end{std::exchange(fiber_, nullptr)};
    return take_from(take_, detail::fiber_closure(at_end.f));
  }
  /// Lets the fiber run on by itself. It gives up the result, not the news of a failure: an exception it throws is
  /// reported, see options::lost_exceptions. A function that may fail without anybody hearing of it catches by itself.
  void detach() noexcept {
    if (fiber_ != nullptr) detail::detach_fiber(std::exchange(fiber_, nullptr));
  }

 private:
  friend struct detail::spawning;

  template <class F, class... A>
  static join_handle start(const fiber_options* o, F&& f, A&&... args) {
    using call = decltype(detail::invocation(std::forward<F>(f), std::forward<A>(args)...));
    join_handle h;
    h.take_ = [](void* at) -> R { return static_cast<detail::joinable_closure_of<call>*>(at)->take(); };
    h.fiber_ = detail::start_joinable(o, std::forward<F>(f), std::forward<A>(args)...);
    return h;
  }
  // Apart, since calls through pointers make functions compiled for segmented stacks ask for a large one.
  [[gnu::noinline]] static R take_from(R (*take)(void*), void* closure) { return take(closure); }
  void drop() noexcept {
    if (fiber_ != nullptr) detail::drop_fiber(std::exchange(fiber_, nullptr));
  }

  detail::fiber* fiber_ = nullptr;
  R (*take_)(void*) = nullptr;
};

namespace detail {
/// For spawn(), which is a friend by it: clang 16 takes a friend with its own constraints for another function.
struct spawning {
  template <class R, class... A>
  static join_handle<R> start(A&&... a) {
    return join_handle<R>::start(std::forward<A>(a)...);
  }
};
}  // namespace detail

/// Like go(), but returns a handle whose join() has the result. A large result has its place on the heap too, until
/// join() moves it out.
///
/// \code
/// auto size = heddle::spawn([](std::string s) { return s.size(); }, "warp");
/// assert(size.join() == 4);
/// \endcode
template <class F, class... A>
requires std::is_invocable_v<std::decay_t<F>, std::decay_t<A>...>
auto spawn(F&& f, A&&... args) -> join_handle<std::invoke_result_t<std::decay_t<F>, std::decay_t<A>...>> {
  return detail::spawning::start<std::invoke_result_t<std::decay_t<F>, std::decay_t<A>...>>(nullptr, std::forward<F>(f),
                                                                                            std::forward<A>(args)...);
}

/// The same for a fiber with a name or a stack size of its own.
template <class F, class... A>
requires std::is_invocable_v<std::decay_t<F>, std::decay_t<A>...>
auto spawn(const fiber_options& o, F&& f, A&&... args)
    -> join_handle<std::invoke_result_t<std::decay_t<F>, std::decay_t<A>...>> {
  return detail::spawning::start<std::invoke_result_t<std::decay_t<F>, std::decay_t<A>...>>(&o, std::forward<F>(f),
                                                                                            std::forward<A>(args)...);
}

}  // namespace heddle

template <>
struct std::hash<heddle::fiber_id> {
  std::size_t operator()(heddle::fiber_id id) const noexcept { return std::hash<std::uint64_t>()(id.number()); }
};
