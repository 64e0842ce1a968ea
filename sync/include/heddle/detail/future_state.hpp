// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <exception>
#include <future>
#include <optional>
#include <type_traits>
#include <utility>

#include "heddle/detail/config.hpp"
#include "heddle/detail/countdown.hpp"
#include "heddle/detail/platform.hpp"
#include "heddle/detail/scanned_memory.hpp"

namespace heddle::detail {

[[noreturn]] HEDDLE_EXPORT void throw_future_error(std::future_errc code);
HEDDLE_EXPORT std::exception_ptr broken_promise() noexcept;

/// What a promise and its futures share: a result that comes once. On the heap, counted.
///
/// Invariants:
/// 1. Who turns `satisfied_` on writes the result, and nobody else does. (Off again only if moving the value throws.)
/// 2. `missing_` falls from one to zero after that; from then on the result is read only.
template <class T>
class future_state {
  static constexpr countdown::words words{"future", "add", "set", "set once",
                                          "for %s of the state %p, until its promise is set or destroyed"};

 public:
  using stored = std::conditional_t<std::is_void_v<T>, std::true_type,
                                    std::conditional_t<std::is_reference_v<T>, std::remove_reference_t<T>*, T>>;

  bool is_ready() const noexcept { return missing_.is_zero(); }
  void wait() noexcept { missing_.wait(words); }
  bool wait(const wait_bounds& bounds) { return missing_.wait(bounds, words); }
  // relaxed: the result itself is published by missing_.
  bool satisfied() const noexcept { return satisfied_.load(std::memory_order_relaxed); }

  /// False: there is a result already, or there will be.
  template <class... V>
  bool set_value(V&&... value) {
    if (!claim()) return false;
    struct withdraw {
      atomic<bool>* from;
      ~withdraw() {
        // release: so that who sets after an exception of T's comes after it; acquire half in claim().
        if (from != nullptr) from->store(false, std::memory_order_release);
      }
    } unless_set{&satisfied_};
    if constexpr (std::is_reference_v<T>)
      value_.emplace(std::addressof(value)...);
    else
      value_.emplace(std::forward<V>(value)...);
    unless_set.from = nullptr;
    publish();
    return true;
  }
  bool set_exception(std::exception_ptr error) noexcept {
    if (!claim()) return false;
    error_ = std::move(error);
    publish();
    return true;
  }

  /// Of a state that is ready: the result, moved out, or left in place.
  T take() {
    if (error_) std::rethrow_exception(std::move(error_));
    if constexpr (std::is_reference_v<T>)
      return static_cast<T>(**value_);
    else if constexpr (!std::is_void_v<T>)
      return std::move(*value_);
  }
  std::conditional_t<std::is_object_v<T>, std::add_lvalue_reference_t<const T>, T> look() const {
    if (error_) std::rethrow_exception(error_);
    if constexpr (std::is_reference_v<T>)
      return static_cast<T>(**value_);
    else if constexpr (!std::is_void_v<T>)
      return *value_;
  }

  /// Nobody else can have the result. relaxed: only an owner makes others.
  bool owned_alone() const noexcept { return owners_.load(std::memory_order_relaxed) == 1; }
  // relaxed: who copies a reference has one.
  void retain() noexcept { owners_.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept {
    // release: so that the last owner sees what the others did; acquire half here too.
    if (owners_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

 private:
  bool claim() noexcept {
    if (HEDDLE_PLANTED(two_set_a_future) && !satisfied_.load(std::memory_order_relaxed)) {
      satisfied_.store(true, std::memory_order_relaxed);
      return true;
    }
    // acquire: so that it comes after one who withdrew; release half in set_value().
    return !satisfied_.exchange(true, std::memory_order_acquire);
  }
  void publish() noexcept { missing_.done(1, words); }

  countdown missing_{1};
  atomic<std::uint32_t> owners_{1};
  atomic<bool> satisfied_{false};
  [[no_unique_address]] range_of<stored> scanned_{&value_, sizeof value_};
  std::optional<stored> value_;
  std::exception_ptr error_;
};

/// A counted reference to a state.
template <class T>
class state_ref {
 public:
  state_ref() noexcept = default;
  static state_ref make() { return state_ref(new future_state<T>); }
  state_ref(const state_ref& other) noexcept : at_(other.at_) {
    if (at_ != nullptr) at_->retain();
  }
  state_ref(state_ref&& other) noexcept : at_(std::exchange(other.at_, nullptr)) {}
  state_ref& operator=(state_ref other) noexcept {
    std::swap(at_, other.at_);
    return *this;
  }
  ~state_ref() {
    if (at_ != nullptr) at_->release();
  }
  explicit operator bool() const noexcept { return at_ != nullptr; }
  future_state<T>& operator*() const noexcept { return *at_; }
  future_state<T>* operator->() const noexcept { return at_; }

 private:
  explicit state_ref(future_state<T>* s) noexcept : at_(s) {}
  future_state<T>* at_ = nullptr;
};

}  // namespace heddle::detail
