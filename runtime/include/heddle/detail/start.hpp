// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
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

/// What the runtime knows of a closure: how large it is, how to move it into the fiber, run it, and end it.
struct closure_type {
  std::size_t size;
  std::size_t align;
  void (*relocate)(void* to, void* from);  ///< move-constructs; may throw
  void (*run)(void* at);                   ///< runs; a detached one also destroys itself
  void (*destroy)(void* at) noexcept;      ///< a joinable one: when nobody needs the result any more
  bool joinable;
  bool trivial;    ///< relocate copies bytes, so that it may run inside the runtime
  bool segmented;  ///< compiled with -fsplit-stack, and by heddle::segmented
};

/// Whether this is being compiled so. A parameter of all that depends on it: one program may have both.
#if defined(HEDDLE_SEGMENTED) && HEDDLE_SEGMENTED
inline constexpr bool compiled_segmented = true;
#else
inline constexpr bool compiled_segmented = false;
#endif

/// Makes a fiber of the closure at `from` and makes it runnable. Joinable: the caller must join and release it, or
/// detach it. Starts the runtime if none runs. Throws std::bad_alloc, std::system_error,
/// std::invalid_argument (stack size), or what relocate throws.
HEDDLE_EXPORT fiber* start_fiber(const closure_type& type, void* from, const fiber_options* options);

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

/// A closure whose result nobody waits for.
template <class Call, bool Segmented = compiled_segmented>
struct detached_closure {
  Call call;

  static void relocate(void* to, void* from) { ::new (to) Call(std::move(*static_cast<Call*>(from))); }
  static void run(void* at) {
    Call* call = static_cast<Call*>(at);
    try {
      (*call)();
      call->~Call();
    } catch (...) {
      exception_escaped();
    }
  }
  static void destroy(void*) noexcept {}
  static constexpr closure_type type{sizeof(Call), alignof(Call),        relocate, run, destroy,
                                     false,        moves_as_bytes<Call>, Segmented};
};

struct nothing {};

/// A closure with a place for what it returns or throws.
template <class Call, bool Segmented = compiled_segmented>
struct joinable_closure {
  using raw = std::invoke_result_t<Call&>;
  using result = std::conditional_t<std::is_void_v<raw>, nothing,
                                    std::conditional_t<std::is_reference_v<raw>, std::remove_reference_t<raw>*, raw>>;
  // The call, then the result, then (the value moved out) nothing.
  std::variant<Call, result, std::exception_ptr, nothing> content;

  explicit joinable_closure(Call&& c) : content(std::in_place_index<0>, std::move(c)) {}

  static void relocate(void* to, void* from) { ::new (to) joinable_closure(std::move(*static_cast<Call*>(from))); }
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

template <class Call, bool Segmented = compiled_segmented, class Closure = joinable_closure<Call, Segmented>>
inline constexpr closure_type joinable_type{sizeof(Closure),      alignof(Closure), Closure::relocate,
                                            Closure::run,         Closure::destroy, true,
                                            moves_as_bytes<Call>, Segmented};

}  // namespace detail
}  // namespace heddle
