// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>

#include "heddle/gc/detail/core.hpp"
#include "heddle/gc/ptr.hpp"

namespace heddle::gc {

/// A cleanup that can be taken back. A copy is the same cleanup; that it is destroyed does nothing.
class cleanup_handle {
 public:
  /// No cleanup.
  constexpr cleanup_handle() noexcept = default;

  /// The function is not to be called any more, and is destroyed. False: it has been called, is about to be, or has
  /// been taken back before. From any fiber or thread, also from the function itself. O(1).
  bool cancel() noexcept {
    if (number_ == 0 || !detail::cancel_cleanup(number_)) return false;
    destroy_(function_);
    return true;
  }

 private:
  template <class T, class F>
  friend cleanup_handle cleanup(const ptr<T>& object, F&& f);

  cleanup_handle(std::uint64_t number, void* function, void (*destroy)(void*) noexcept) noexcept
      : number_(number), function_(function), destroy_(destroy) {}

  std::uint64_t number_ = 0;  ///< the collector's name for it
  void* function_ = nullptr;  ///< of malloc, whole while cancel_cleanup() may succeed
  void (*destroy_)(void*) noexcept = nullptr;
};

/// Calls f() once, on a fiber, some time after the object has died: for what the object only stands for, and what is no
/// part of it.
///
///     auto image = gc::make<picture>(width, height);
///     gc::cleanup(image, [texture = image->texture] { driver.release(texture); });
///
/// f must not have the object in it. What f holds is not scanned, and a gc::root to the object in it would keep the
/// object for ever; f holds what it needs of the object instead, as above. The object is gone when f runs: nobody can
/// bring it back. An object may have several cleanups, which run in no order. `object` may point inside of the object.
/// At the end of the program those that have not run do not.
///
/// Compared with a destructor: the object needs none, its memory is free as soon as it is found dead, and others than
/// its class may ask. f may block, allocate and collect. What it throws is reported and ends the process, as from a
/// destructor.
///
/// Throws std::bad_alloc, and what moving f throws; the object is then without the cleanup. O(1). From fibers and plain
/// threads. Source: Go's runtime.AddCleanup.
template <class T, class F>
cleanup_handle cleanup(const ptr<T>& object, F&& f) {
  using function = std::decay_t<F>;
  static_assert(std::invocable<function&>, "a cleanup is called without arguments");
  auto kept = std::make_unique<function>(std::forward<F>(f));
  const auto call = [](void* argument) {
    const std::unique_ptr<function> called(static_cast<function*>(argument));
    static_cast<void>((*called)());
  };
  const auto destroy = [](void* argument) noexcept { delete static_cast<function*>(argument); };
  const std::uint64_t number =
      detail::add_cleanup(const_cast<const void*>(static_cast<const volatile void*>(object.get())), call, kept.get());
  return {number, kept.release(), destroy};
}
/// The same for a plain pointer into a collected object.
template <class T, class F>
cleanup_handle cleanup(T* object, F&& f) {
  return cleanup(ptr<T>(object), std::forward<F>(f));
}

}  // namespace heddle::gc
