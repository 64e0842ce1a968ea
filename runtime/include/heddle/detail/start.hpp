// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

#include "heddle/detail/config.hpp"

namespace heddle {

/// What the stack of a fiber is made of.
enum class stack_kind : std::uint8_t {
  automatic,   ///< segmented if the closure was compiled for it and no stack_size of 16 KiB or more is given
  contiguous,  ///< one piece of address space with a guard: for any code
  segmented,   ///< starts small and grows by segments: for code compiled with heddle::segmented
};

/// What may be said of a fiber when it is made.
struct fiber_options {
  std::string_view name = {};  ///< shown in reports; copied
  /// Bytes of address space, 16 KiB to 64 MiB; of a segmented one the first segment with the control block, 1 KiB or
  /// 2 KiB, or 16 KiB and more. 0: the runtime's default.
  std::size_t stack_size = 0;
  stack_kind stack = stack_kind::automatic;
};

namespace detail {

class fiber;

/// A closure as the runtime knows it: how large it is, how to put it into the fiber, run it, and end it.
struct closure_type {
  std::size_t size;
  std::size_t align;
  void (*relocate)(void* to, void* from);  ///< constructs out of `from`, see moved_type and built_type; may throw
  void (*run)(void* at);                   ///< runs; a detached one also destroys itself
  void (*destroy)(void* at) noexcept;      ///< a joinable one: when nobody needs the result any more
  bool joinable;
  bool trivial;    ///< relocate copies bytes, so that it may run inside the runtime
  bool segmented;  ///< compiled with -fsplit-stack, and by heddle::segmented
  /// Of a joinable one that has run: the exception that it holds, or null. Null itself: it never holds one.
  const std::exception_ptr* (*failure)(const void* at) noexcept;
};

/// Whether this is being compiled so. A parameter of all that depends on it: one program may have both.
#if defined(HEDDLE_SEGMENTED) && HEDDLE_SEGMENTED
inline constexpr bool compiled_segmented = true;
#else
inline constexpr bool compiled_segmented = false;
#endif

/// Bytes of a closure that has its place in the fiber's control block, if it needs no more than the usual alignment. A
/// larger one is built on the heap, and called where it lies: it never stands on a stack.
inline constexpr std::size_t inline_closure = 88;
inline constexpr std::size_t inline_alignment = 16;
template <class Closure>
inline constexpr bool is_inline = sizeof(Closure) <= inline_closure && alignof(Closure) <= inline_alignment;

/// Makes a fiber of the closure at `from` and makes it runnable. Joinable: the caller must join and release it, or
/// detach it. Starts the runtime if none runs. Throws std::bad_alloc, std::system_error,
/// std::invalid_argument (stack size), or what relocate throws.
HEDDLE_EXPORT fiber* start_fiber(const closure_type& type, void* from, const fiber_options* options);

/// Starts a detached fiber that calls f(argument), if a runtime runs that is not about to end; else false: nothing has
/// happened. False, too, without memory. From a plain thread.
HEDDLE_EXPORT bool start_if_running(void (*f)(void*), void* argument) noexcept;

HEDDLE_EXPORT void join_fiber(fiber* f) noexcept;     ///< blocks the fiber or plain thread until f has ended
HEDDLE_EXPORT void release_fiber(fiber* f) noexcept;  ///< frees an f that has been joined
HEDDLE_EXPORT void drop_fiber(fiber* f) noexcept;     ///< joins and releases f; in a forked child, leaves a parent's
HEDDLE_EXPORT void detach_fiber(fiber* f) noexcept;   ///< lets f free itself when it ends
HEDDLE_EXPORT void* fiber_closure(fiber* f) noexcept;
HEDDLE_EXPORT std::uint64_t fiber_number(const fiber* f) noexcept;
/// Ends the process, naming the running fiber and the exception in flight.
[[noreturn]] HEDDLE_EXPORT void exception_escaped() noexcept;

/// The call of f with its arguments, decayed and moved in. A lambda, which can be moved as bytes if its parts can; a
/// std::tuple never can.
template <class F, class... A>
auto invocation(F&& f, A&&... args) {
  return [f = std::forward<F>(f), ... args = std::forward<A>(args)]() mutable -> decltype(auto) {
    return std::invoke(std::move(f), std::move(args)...);
  };
}

/// Whether moving it can neither run user code nor throw. (Not trivially copyable: the assignment of a lambda is
/// deleted.)
template <class Call>
inline constexpr bool moves_as_bytes =
    std::is_trivially_move_constructible_v<Call>&& std::is_trivially_destructible_v<Call>;

/// As a result: there is none. As the function to call after a call: there is none.
struct nothing {
  void operator()() const noexcept {}
};

/// A closure whose result nobody waits for. `after` is called when the call is over and destroyed.
template <class Call, class After = nothing, bool Segmented = compiled_segmented>
struct detached_closure {
  Call call;
  [[no_unique_address]] After after;
  static constexpr bool trivial = moves_as_bytes<Call> && moves_as_bytes<After>;
  static_assert(std::is_trivially_destructible_v<After>);

  static void run(void* at) {
    auto* const self = static_cast<detached_closure*>(at);
    try {
      self->call();
      self->call.~Call();
    } catch (...) {
      exception_escaped();
    }
    self->after();
  }
  static void destroy(void*) noexcept {}
  static constexpr bool joinable = false;
};

/// closure_type::failure of a closure.
template <class Closure>
constexpr auto failure_of() noexcept -> const std::exception_ptr* (*)(const void*) noexcept {
  if constexpr (Closure::joinable)
    return Closure::failure;
  else
    return nullptr;
}

template <class Call>
struct result_of {
  using raw = std::invoke_result_t<Call&>;
  using stored = std::conditional_t<std::is_void_v<raw>, nothing,
                                    std::conditional_t<std::is_reference_v<raw>, std::remove_reference_t<raw>*, raw>>;
};

/// A closure whose call, result and exception have the same place.
template <class Call, bool Segmented = compiled_segmented>
struct joinable_closure {
  using raw = typename result_of<Call>::raw;
  using result = typename result_of<Call>::stored;
  // The call, then the result, then (the value moved out) nothing.
  std::variant<Call, result, std::exception_ptr, nothing> content;
  static constexpr bool trivial = moves_as_bytes<Call>;

  explicit joinable_closure(Call&& c) : content(std::in_place_index<0>, std::move(c)) {}

  static void run(void* at) {
    auto& self = *static_cast<joinable_closure*>(at);
    try {
      Call call = std::get<0>(std::move(self.content));
      if constexpr (std::is_void_v<raw>) {
        call();
        self.content.template emplace<1>();
      } else if constexpr (std::is_reference_v<raw>) {
        self.content.template emplace<1>(&call());
      } else {
        self.content.template emplace<1>(call());
      }
    } catch (...) {
      self.content.template emplace<2>(std::current_exception());
    }
  }
  static void destroy(void* at) noexcept { static_cast<joinable_closure*>(at)->~joinable_closure(); }
  static const std::exception_ptr* failure(const void* at) noexcept {
    return std::get_if<2>(&static_cast<const joinable_closure*>(at)->content);
  }
  static constexpr bool joinable = true;

  raw take() {
    if (content.index() == 2) {
      std::exception_ptr e = std::move(std::get<2>(content));
      content.template emplace<3>();
      std::rethrow_exception(std::move(e));
    }
    if constexpr (std::is_void_v<raw>) {
      return;
    } else if constexpr (std::is_reference_v<raw>) {
      return static_cast<raw>(*std::get<1>(content));
    } else {
      return std::move(std::get<1>(content));
    }
  }
};

/// The same with a place for each, so that neither the call nor its result needs room on the stack meanwhile.
template <class Call, bool Segmented = compiled_segmented>
struct large_joinable_closure {
  using raw = typename result_of<Call>::raw;
  using result = typename result_of<Call>::stored;
  union {
    Call call;  ///< until it is over
  };
  union {
    result value;
  };
  std::exception_ptr error;
  bool has_value = false;
  static constexpr bool joinable = true;

  template <class Make>
  explicit large_joinable_closure(Make& make) : call(make()) {}
  large_joinable_closure(const large_joinable_closure&) = delete;
  large_joinable_closure& operator=(const large_joinable_closure&) = delete;
  ~large_joinable_closure() {
    if (has_value) value.~result();
  }

  static void run(void* at) {
    auto& self = *static_cast<large_joinable_closure*>(at);
    try {
      const struct ending {
        Call& call;
        ~ending() { call.~Call(); }
      } at_end{self.call};
      if constexpr (std::is_void_v<raw>) {
        self.call();
        ::new (static_cast<void*>(std::addressof(self.value))) result();
      } else if constexpr (std::is_reference_v<raw>) {
        ::new (static_cast<void*>(std::addressof(self.value))) result(std::addressof(self.call()));
      } else {
        ::new (const_cast<void*>(static_cast<const volatile void*>(std::addressof(self.value)))) result(self.call());
      }
      self.has_value = true;
    } catch (...) {
      self.error = std::current_exception();
    }
  }
  static void destroy(void* at) noexcept { static_cast<large_joinable_closure*>(at)->~large_joinable_closure(); }
  static const std::exception_ptr* failure(const void* at) noexcept {
    const std::exception_ptr& error = static_cast<const large_joinable_closure*>(at)->error;
    return error != nullptr ? &error : nullptr;
  }

  raw take() {
    if (!has_value) std::rethrow_exception(std::exchange(error, nullptr));
    if constexpr (std::is_void_v<raw>) {
      return;
    } else if constexpr (std::is_reference_v<raw>) {
      return static_cast<raw>(*value);
    } else {
      return std::move(value);
    }
  }
};

/// The one of the two that a call has.
template <class Call, bool Segmented = compiled_segmented>
using joinable_closure_of =
    std::conditional_t<is_inline<joinable_closure<Call, Segmented>>, joinable_closure<Call, Segmented>,
                       large_joinable_closure<Call, Segmented>>;

/// The type of a closure that is moved: `from` is a closure, or its call.
template <class Closure, class From, bool Segmented = compiled_segmented>
inline constexpr closure_type moved_type{
    sizeof(Closure),
    alignof(Closure),
    [](void* to, void* from) { ::new (to) Closure(std::move(*static_cast<From*>(from))); },
    Closure::run,
    Closure::destroy,
    Closure::joinable,
    Closure::trivial,
    Segmented,
    failure_of<Closure>()};

/// The type of a closure that is built in place: `from` is a function build(place).
template <class Closure, class Build, bool Segmented = compiled_segmented>
inline constexpr closure_type built_type{
    sizeof(Closure), alignof(Closure), [](void* to, void* from) { (*static_cast<Build*>(from))(to); },
    Closure::run,    Closure::destroy, Closure::joinable,
    false,           Segmented,        failure_of<Closure>()};

/// start_fiber() for a closure that make() returns; `Closure` is an aggregate of what it moves, or moves itself.
template <class Closure, class Make>
fiber* start_closure(Make make, const fiber_options* options) {
  if constexpr (is_inline<Closure>) {
    Closure c = make();
    return start_fiber(moved_type<Closure, Closure>, &c, options);
  } else {
    auto build = [&make](void* to) { ::new (to) Closure(make()); };
    return start_fiber(built_type<Closure, decltype(build)>, &build, options);
  }
}

/// The fiber of go(): calls f(args...), and then `after`.
template <class After, class F, class... A>
void start_detached(const fiber_options* options, After after, F&& f, A&&... args) {
  using call = decltype(invocation(std::forward<F>(f), std::forward<A>(args)...));
  using closure = detached_closure<call, After>;
  start_closure<closure>(
      [&]() -> closure {
        return {invocation(std::forward<F>(f), std::forward<A>(args)...), std::move(after)};
      },
      options);
}

/// The fiber of spawn(): fiber_closure() has its result.
template <class F, class... A>
fiber* start_joinable(const fiber_options* options, F&& f, A&&... args) {
  using call = decltype(invocation(std::forward<F>(f), std::forward<A>(args)...));
  using closure = joinable_closure_of<call>;
  if constexpr (is_inline<closure>) {
    call c = invocation(std::forward<F>(f), std::forward<A>(args)...);
    return start_fiber(moved_type<closure, call>, &c, options);
  } else {
    auto make = [&]() -> call { return invocation(std::forward<F>(f), std::forward<A>(args)...); };
    auto build = [&make](void* to) { ::new (to) closure(make); };
    return start_fiber(built_type<closure, decltype(build)>, &build, options);
  }
}

}  // namespace detail
}  // namespace heddle
