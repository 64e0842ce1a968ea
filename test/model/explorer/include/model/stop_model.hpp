// SPDX-License-Identifier: BSL-1.0
//
// std::stop_token and its kin over the explorer's atomics, as far as heddle uses them: the standard library's own would
// be seen by the explorer neither as order nor as waiting. Included by platform_model.hpp.
#pragma once

#include <memory>
#include <optional>
#include <utility>

namespace model {

class stop_callback_base;

namespace detail {
/// What sources, tokens and callbacks share. The lock guards the list, `running` and `runner`; a callback runs without
/// it, and who ends that callback meanwhile, on another thread, waits.
struct stop_state {
  heddle::detail::platform::atomic<std::uint32_t> requested{0};
  heddle::detail::platform::atomic<std::uint32_t> held{0};
  stop_callback_base* first = nullptr;
  heddle::detail::platform::atomic<stop_callback_base*> running{nullptr};
  unsigned runner = 0;

  void lock() noexcept {
    for (std::uint32_t free = 0; !held.compare_exchange_strong(free, 1, std::memory_order_acquire); free = 0)
      heddle::detail::platform::cpu_relax();
  }
  void unlock() noexcept { held.store(0, std::memory_order_release); }
};
unsigned running_thread() noexcept;
}  // namespace detail

class stop_callback_base {
 public:
  stop_callback_base() = default;
  stop_callback_base(const stop_callback_base&) = delete;
  stop_callback_base& operator=(const stop_callback_base&) = delete;

 protected:
  ~stop_callback_base() = default;
  /// Into the list; or runs at once if a stop has been requested.
  void enter(std::shared_ptr<detail::stop_state> state, void (*run)(stop_callback_base*)) noexcept {
    run_ = run;
    if (!state) return;
    state_ = std::move(state);
    state_->lock();
    const bool late = state_->requested.load(std::memory_order_acquire) != 0;
    if (!late) {
      next_ = state_->first;
      state_->first = this;
    }
    state_->unlock();
    if (late) {
      run_(this);
      state_.reset();
    }
  }
  void leave() noexcept {
    if (!state_) return;
    state_->lock();
    stop_callback_base** at = &state_->first;
    while (*at != nullptr && *at != this) at = &(*at)->next_;
    const bool listed = *at == this;
    if (listed) *at = next_;
    const bool elsewhere = state_->runner != detail::running_thread();
    state_->unlock();
    if (listed) return;
    while (elsewhere && state_->running.load(std::memory_order_acquire) == this) heddle::detail::platform::cpu_relax();
  }

 private:
  friend class stop_source;
  void (*run_)(stop_callback_base*) = nullptr;
  stop_callback_base* next_ = nullptr;
  std::shared_ptr<detail::stop_state> state_;
};

class stop_token {
 public:
  stop_token() noexcept = default;
  bool stop_requested() const noexcept { return state_ && state_->requested.load(std::memory_order_acquire) != 0; }
  bool stop_possible() const noexcept { return state_ != nullptr; }
  friend bool operator==(const stop_token& a, const stop_token& b) noexcept { return a.state_ == b.state_; }

 private:
  friend class stop_source;
  template <class F>
  friend class stop_callback;
  explicit stop_token(std::shared_ptr<detail::stop_state> s) noexcept : state_(std::move(s)) {}
  std::shared_ptr<detail::stop_state> state_;
};

class stop_source {
 public:
  stop_source() : state_(std::make_shared<detail::stop_state>()) {}
  stop_token get_token() const noexcept { return stop_token(state_); }
  bool stop_possible() const noexcept { return state_ != nullptr; }
  bool stop_requested() const noexcept { return get_token().stop_requested(); }
  bool request_stop() noexcept {
    detail::stop_state& s = *state_;
    s.lock();
    const bool first = s.requested.exchange(1, std::memory_order_acq_rel) == 0;
    s.runner = detail::running_thread();
    while (first && s.first != nullptr) {
      stop_callback_base* const callback = std::exchange(s.first, s.first->next_);
      s.running.store(callback, std::memory_order_relaxed);
      s.unlock();
      callback->run_(callback);
      s.running.store(nullptr, std::memory_order_release);
      s.lock();
    }
    s.unlock();
    return first;
  }

 private:
  std::shared_ptr<detail::stop_state> state_;
};

template <class F>
class stop_callback : public stop_callback_base {
 public:
  template <class C>
  stop_callback(const stop_token& token, C&& f) : f_(std::forward<C>(f)) {
    enter(token.state_, [](stop_callback_base* self) { static_cast<stop_callback*>(self)->f_(); });
  }
  ~stop_callback() { leave(); }

 private:
  F f_;
};

}  // namespace model

namespace heddle::detail::platform {
using model::stop_callback;
using model::stop_source;
using model::stop_token;
}  // namespace heddle::detail::platform
