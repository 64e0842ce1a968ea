// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <concepts>
#include <cstdlib>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

#include "heddle/detail/local_values.hpp"
#include "heddle/detail/scanned_memory.hpp"

namespace heddle {

/// A variable of which each fiber, and each plain thread, has a value of its own: what thread_local is to threads,
/// which fibers must not use, since they move between them.
///
///     heddle::fiber_local<std::string> request;                        // T(), or:
///     heddle::fiber_local<std::mt19937> dice([] { return std::mt19937(std::random_device()()); });
///
///     heddle::run([] {
///       heddle::go([] { *request = "a"; heddle::this_fiber::yield(); assert(*request == "a"); });
///       heddle::go([] { *request = "b"; });
///     });
///
/// A value is made when its fiber first asks for it, and destroyed, on that fiber, when it ends: the newest first, for
/// a child of a group before the group counts it as ended, for another after its function's own objects. A destructor
/// may use other variables, and values it makes are destroyed too.
///
/// Unlike thread_local it is an object and may be a member or a local; any number may exist. When it is destroyed, the
/// caller's value goes with it; those of other fibers stay with them, and are destroyed when those end, or earlier,
/// when they use a variable that was made later. So a T must not refer to the variable.
///
/// get(): about 3 ns when the value is there, an index into a table that the fiber has; the first in a fiber costs an
/// allocation, sometimes two. The table of a fiber is as long as the greatest number of variables that existed at once
/// when the newest it uses was made. From fibers and plain threads.
///
/// Source: pthread_getspecific; the numbers beside the places instead of a sweep over all threads when one is deleted.
template <class T>
class fiber_local {
  static_assert(std::is_object_v<T> && !std::is_array_v<T>, "a fiber_local holds objects");
  static_assert(std::is_nothrow_destructible_v<T>, "a value must be destructible without an exception");

 public:
  using value_type = T;

  /// Values are T(). Throws std::bad_alloc.
  fiber_local() requires std::default_initializable<T>
  = default;
  /// Values are make(), which each fiber calls for itself, so it may run in several at once. It may block; it must not
  /// ask for this variable. Throws std::bad_alloc and what copying `make` throws.
  template <class Make>
  requires std::is_invocable_r_v<T, Make&> &&
      (!std::same_as<std::decay_t<Make>, fiber_local>)explicit fiber_local(Make make)
      : make_(std::move(make)) {}
  fiber_local(const fiber_local&) = delete;
  fiber_local& operator=(const fiber_local&) = delete;
  ~fiber_local() {
    reset();
    detail::free_local_variable(variable_);
  }

  /// The caller's value, made if need be. Valid until the fiber ends or calls reset(). Throws std::bad_alloc and what
  /// making it throws; it will be tried again then.
  T& get() const {
    if (T* const value = find()) [[likely]]
      return *value;
    return make();
  }
  T& operator*() const { return get(); }
  T* operator->() const { return std::addressof(get()); }

  /// The caller's value if there is one, else null. O(1), about 3 ns.
  T* find() const noexcept {
    const detail::own_locals* const mine = detail::own_locals::find();
    detail::local_value* const value = mine != nullptr ? mine->value_of(variable_) : nullptr;
    return value != nullptr ? std::addressof(static_cast<boxed*>(value)->value) : nullptr;
  }

  /// Destroys the caller's value, if there is one; the next get() makes another. O(1).
  void reset() noexcept {
    detail::own_locals* const mine = detail::own_locals::find();
    detail::local_value* const value = mine != nullptr ? mine->value_of(variable_) : nullptr;
    if (value == nullptr) return;
    mine->remove(*value);
    boxed::destroy_boxed(value);
  }

 private:
  struct boxed : detail::local_value {
    [[no_unique_address]] detail::range_of<T> scanned{std::addressof(value), sizeof value};
    T value;
    explicit boxed(const fiber_local& of)
        : local_value{.destroy = destroy_boxed, .variable = of.variable_}, value(of.make_ ? of.make_() : fresh()) {}
    static void destroy_boxed(local_value* self) noexcept { delete static_cast<boxed*>(self); }
    static T fresh() {
      if constexpr (std::default_initializable<T>)
        return T();
      else
        std::abort();  // not reached: such a T needs make_
    }
  };

  // Apart, since what it calls makes functions compiled for segmented stacks ask for a large one.
  [[gnu::noinline]] T& make() const {
    auto value = std::make_unique<boxed>(*this);
    detail::own_locals& mine = detail::own_locals::get();
    mine.make_room(variable_);
    detail::local_value* const replaced = mine.insert(*value);
    if (replaced != nullptr) replaced->destroy(replaced);
    return value.release()->value;
  }

  const std::function<T()> make_;
  const detail::local_variable variable_ = detail::new_local_variable();  // last: nothing can fail after it
};

}  // namespace heddle
