// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <utility>

#include "heddle/detail/bounded_wait.hpp"
#include "heddle/detail/channel_core.hpp"
#include "heddle/detail/config.hpp"

namespace heddle {
namespace detail {
[[noreturn]] HEDDLE_EXPORT void throw_channel_closed(const char* operation);
class selection;
struct select_waits;
using select_lock = scoped_hold<selection>;
}  // namespace detail

/// One of the operations that a select chooses from: a receive_case or a send_case. It is also the place in the
/// channel's queue, so a select that blocks allocates nothing. Used by one select at a time, and not moved meanwhile.
class select_case {
 public:
  select_case(const select_case&) = delete;
  select_case& operator=(const select_case&) = delete;

 protected:
  enum class direction : std::uint8_t { receives, sends };
  /// With the lock of all channels: does it if that is possible without blocking, and unlocks them all; or returns
  /// false, with the lock. May throw, and has unlocked if it does.
  using attempt_function = bool (*)(select_case& self, detail::select_lock& lock);

  // No virtual function, which would need a virtual destructor.
  select_case(detail::channel_core* channel, attempt_function attempt, direction d, void* slot,
              std::exception_ptr* error = nullptr) noexcept
      : channel_(channel), attempt_(attempt), place_(slot, nullptr, error), direction_(d) {}
  ~select_case() = default;
  /// Takes from `other` the members that are not the caller's to move: its own value and error are there. Neither end
  /// of a move takes part in a select.
  select_case(const select_case& other, void* slot, std::exception_ptr* error = nullptr) noexcept
      : channel_(other.channel_), attempt_(other.attempt_), place_(slot, nullptr, error), direction_(other.direction_) {
    place_.result = other.place_.result;
  }
  void take_over(select_case& other) noexcept {
    channel_ = other.channel_;
    attempt_ = other.attempt_;
    place_.result = other.place_.result;
    other.lose_channel();
  }
  /// For a case that was moved from: never ready, and without a result.
  void lose_channel() noexcept {
    channel_ = nullptr;
    place_.result = detail::channel_waiter::outcome::pending;
  }

  /// Whether the last select that this case took part in chose it, and the value went over.
  bool delivered() const noexcept { return place_.result == detail::channel_waiter::outcome::delivered; }
  /// What an attempt that did not block came to.
  void came_to(detail::channel_waiter::outcome how) noexcept { place_.result = how; }

 private:
  friend class detail::selection;
  friend struct detail::select_waits;

  detail::channel_core* channel_;  // null: never ready
  attempt_function attempt_;
  detail::channel_waiter place_;
  std::uint32_t index_ = 0;
  direction direction_;
};

namespace detail {

/// The cases of one select that have channels, in the order of their channels' addresses: the order in which several
/// locks are taken. Lives with its array on the stack of the select.
///
/// 1. A blocked select has each of its cases in a queue of its channel, and one waiter for all of them. Who takes a
///    case out claims that waiter under the channel's lock, so only one does; to all others it is as if the select were
///    not there.
/// 2. All cases are queued, and the waiter falls asleep, before any of the channels is unlocked.
/// 3. Before a select returns it has held, after the waiter's end, the lock of every channel but that of the case
///    chosen, which the claimant has held. So nobody has any part of it any longer: neither a queue nor the commit.
/// 4. It does not touch the channel of the case chosen any more (unless it stands in several cases), which others may
///    have destroyed.
///
/// 5. Cases of the same channel stand next to each other; their order is drawn each time that they are queued.
///
/// Source: selectgo in Go's runtime/select.go. Unlike there not all cases are shuffled. The ready cases are counted,
/// and one of them is drawn, which needs a random number only if there are several. Of the waiting cases only those
/// that stand in the same queue depend on their order.
class HEDDLE_EXPORT selection {
 public:
  /// Room for `order` is the caller's.
  explicit selection(select_case** order) noexcept : order_(order) {}

  /// Adds a case, which has this index to the user; forgets what it has been through.
  void add(select_case* c, std::size_t index) noexcept {
    if (c == nullptr) return;
    c->place_.result = channel_waiter::outcome::pending;
    c->index_ = static_cast<std::uint32_t>(index);
    if (c->channel_ != nullptr) order_[size_++] = c;
  }
  /// After the last add(). For a few: O(n) if they are in order already, else O(n^2).
  void arrange() noexcept;
  select_case** begin() noexcept { return order_; }
  select_case** end() noexcept { return order_ + size_; }
  static bool before(const select_case* a, const select_case* b) noexcept {
    return std::less<>()(a->channel_, b->channel_);
  }

  void lock() noexcept;
  void unlock() noexcept;

  /// Blocks until one of the cases is done. attempt(case, lock) is case.attempt_(case, lock).
  template <class Attempt>
  select_case& wait(Attempt attempt) {
    for (;;) {
      select_lock lock(*this);
      if (select_case* const done = try_all(attempt, lock)) return *done;
      bounded_waiter sleeper(wait_bounds{});
      sleep(sleeper, lock);
      select_case* const done = leave();
      if (settled(*done)) return *done;
    }
  }
  /// The same, but does not block. Null if none could be done.
  template <class Attempt>
  select_case* poll(Attempt attempt) {
    select_lock lock(*this);
    return try_all(attempt, lock);
  }
  /// The same, but waits no longer than the bounds say. Null: `how` says how it ended otherwise.
  template <class Attempt>
  select_case* wait(Attempt attempt, const wait_bounds& bounds, wait_state& how) {
    how = wait_state::signalled;
    for (;;) {
      bounded_waiter sleeper(bounds);
      select_lock lock(*this);
      if (select_case* const done = try_all(attempt, lock)) return done;
      how = sleep(sleeper, lock);
      select_case* const done = leave();
      if (how != wait_state::signalled) return nullptr;
      if (settled(*done)) return done;
    }
  }

  static std::size_t index_of(const select_case& c) noexcept { return c.index_; }
  static bool attempt_of(select_case& c, select_lock& lock) { return c.attempt_(c, lock); }
  template <class Case>
  static bool attempt_typed(Case& c, select_lock& lock) {
    return c.attempt(lock);
  }

 private:
  using outcome = channel_waiter::outcome;
  friend struct select_waits;  // for reports

  bool first_of_channel(std::size_t i) const noexcept {
    return i == 0 || order_[i - 1]->channel_ != order_[i]->channel_;
  }
  static bool is_ready(const select_case& c) noexcept;
  void queue(waiter& sleeper) noexcept;
  [[gnu::noinline]] void shuffle() noexcept;
  select_case* ready() noexcept;
  select_case* leave() noexcept;
  static void commit(void* self) noexcept;
  static void commit_without_cases(void* self) noexcept;

  template <class Attempt>
  select_case* try_all(Attempt& attempt, select_lock& lock) {
    // One that seemed ready may not be: who stood in its queue had ended its wait, and stands there no more.
    while (select_case* const chosen = ready())
      if (attempt(*chosen, lock)) return chosen;
    return nullptr;
  }
  wait_state sleep(bounded_waiter& sleeper, select_lock& lock) noexcept {
    if (repeated_) [[unlikely]]
      shuffle();
    queue(sleeper);
    lock.release();
    // Without a channel there is no lock that would keep the select from returning while the commit still reads it.
    return size_ != 0 ? sleeper.park(commit, as_argument<wait_argument::several>(*this))
                      : sleeper.park(commit_without_cases, nullptr);
  }
  /// After a claim: false if nothing came of it. Throws what a send() would throw.
  static bool settled(select_case& done) {
    return done.place_.result == outcome::delivered || (done.place_.result != outcome::again && settled_rarely(done));
  }
  [[gnu::noinline]] static bool settled_rarely(select_case& done) {
    if (done.place_.result == outcome::failed) std::rethrow_exception(std::move(*done.place_.error));
    if (done.direction_ == select_case::direction::sends) throw_channel_closed("select()");
    return true;
  }

  select_case** order_;  // it and the next: as in wait_places
  std::size_t size_ = 0;
  bool repeated_ = false;  // written by lock(): whether a channel stands in several cases
};

}  // namespace detail
}  // namespace heddle
