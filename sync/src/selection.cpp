// SPDX-License-Identifier: BSL-1.0
#include "heddle/detail/selection.hpp"

#include <utility>

#include "heddle/detail/trusted.hpp"
#include "heddle/detail/wait_description.hpp"

namespace heddle::detail {

void selection::arrange() noexcept {
  for (std::size_t i = 1; i < size_; ++i) {
    select_case* const c = order_[i];
    std::size_t at = i;
    for (; at != 0 && before(c, order_[at - 1]); --at) order_[at] = order_[at - 1];
    order_[at] = c;
  }
}

void selection::lock() noexcept {
  for (std::size_t i = 0; i != size_; ++i) {
    if (first_of_channel(i))
      order_[i]->channel_->lock();
    else
      repeated_ = true;
  }
}

/// Also what commits a sleeper, who may be awake by now and waits for these locks, the lowest first: that is the last
/// one unlocked, and nothing of the selection is read after it.
void selection::unlock() noexcept {
  for (std::size_t i = size_; i-- != 0;)
    if (first_of_channel(i)) order_[i]->channel_->unlock();
}

// Here, so that they have one address in the process, by which reports know them.
void selection::commit(void* self) noexcept {
  static_assert(offsetof(selection, order_) == offsetof(wait_places, first) &&
                offsetof(selection, size_) == offsetof(wait_places, count) && offsetof(select_case, channel_) == 0);
  from_argument<wait_argument::several, selection>(self).unlock();
}

void selection::commit_without_cases(void*) noexcept {}

/// How reports describe a fiber that waits in a select.
struct select_waits {
  static void describe(void* argument, wait_text& to) {
    constexpr std::size_t most = 8;
    const auto& s = from_argument<wait_argument::several, selection>(argument);
    to.say("in a select of %zu %s:", s.size_, s.size_ == 1 ? "case" : "cases");
    for (std::size_t i = 0; i != s.size_ && i != most; ++i) {
      const select_case& c = *s.order_[i];
      to.say("%s %s %p", i == 0 ? "" : ",",
             c.direction_ == select_case::direction::receives ? "receive from" : "send to",
             static_cast<const void*>(c.channel_));
    }
    if (s.size_ > most) to.say(", and others");
  }
  static void describe_without_cases(void*, wait_text& to) {
    to.say("in a select that has no channel, so no case can become ready");
  }
  static const wait_description registered, registered_without_cases;
};
const wait_description select_waits::registered(selection::commit, select_waits::describe);
const wait_description select_waits::registered_without_cases(selection::commit_without_cases,
                                                              select_waits::describe_without_cases);

inline bool selection::is_ready(const select_case& c) noexcept {
  return c.direction_ == select_case::direction::receives ? c.channel_->can_receive() : c.channel_->can_send();
}

/// With all locks: one of those that are ready or seem so, each with the same probability; null if none is.
select_case* selection::ready() noexcept {
  select_case* last = nullptr;
  std::uint32_t count = 0;
  for (std::size_t i = 0; i != size_; ++i) {
    if (!is_ready(*order_[i])) continue;
    last = order_[i];
    ++count;
  }
  if (count <= 1) return last;
  std::uint32_t skip = order_[0]->channel_->draw(count);
  for (std::size_t i = 0;; ++i)
    if (is_ready(*order_[i]) && skip-- == 0) return order_[i];
}

/// With all locks: brings cases of the same channel into a random order, each as likely, since a fiber that comes to
/// the channel serves the first in its queue. Source: R. Durstenfeld, "Algorithm 235: Random permutation".
void selection::shuffle() noexcept {
  for (std::size_t begin = 0, end = 0; begin != size_; begin = end) {
    for (end = begin + 1; end != size_ && !first_of_channel(end);) ++end;
    for (std::size_t left = end - begin; left > 1; --left) {
      const std::uint32_t last = order_[begin]->channel_->draw(static_cast<std::uint32_t>(left));
      std::swap(order_[begin + left - 1], order_[begin + last]);
    }
  }
}

/// With all locks: into the queues.
void selection::queue(waiter& sleeper) noexcept {
  if (HEDDLE_PLANTED(look_and_queue_apart)) {
    unlock();
    lock();
  }
  for (std::size_t i = 0; i != size_; ++i) {
    select_case& c = *order_[i];
    c.place_.self = &sleeper;
    c.place_.result = outcome::pending;
    if (c.direction_ == select_case::direction::receives)
      c.channel_->queue_receiver(c.place_);
    else
      c.channel_->queue_sender(c.place_);
  }
  if (HEDDLE_PLANTED(queued_before_asleep)) {
    unlock();
    lock();
  }
}

/// After the wait: out of the queues. Returns the case that somebody has claimed, if any.
select_case* selection::leave() noexcept {
  select_case* chosen = nullptr;
  for (std::size_t begin = 0, end = 0; begin != size_; begin = end) {
    channel_core& channel = *order_[begin]->channel_;
    const bool was_chosen = order_[begin]->place_.result != outcome::pending;
    if (was_chosen) chosen = order_[begin];
    for (end = begin + 1; end != size_ && !first_of_channel(end);) ++end;
    if (was_chosen && end == begin + 1) continue;
    channel.lock();
    for (std::size_t i = begin; i != end; ++i) {
      select_case& c = *order_[i];
      if (c.place_.result != outcome::pending)
        chosen = &c;
      else if (!HEDDLE_PLANTED(loser_stays_queued)) {
        if (c.direction_ == select_case::direction::receives)
          channel.leave_receivers(c.place_);
        else
          channel.leave_senders(c.place_);
      }
    }
    channel.unlock();
  }
  return chosen;
}

}  // namespace heddle::detail
