// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "heddle/detail/channel_core.hpp"
#include "heddle/detail/selection.hpp"

namespace heddle::detail {

/// The case of a select that waits for room in a channel with a buffer, and sends nothing: for a fiber that sends only
/// now and then, and would leave a value out rather than wait with it. Others may have filled the room by the time that
/// the select returns. Chosen also if the channel is closed.
///
/// In the queue of senders it is a waiter without a value. A fiber that takes it out, to make room or to close, wakes
/// it, and goes on to the next (channel_waiter::claim()).
class room_case : public select_case {
 public:
  explicit room_case(channel_core& in) noexcept : select_case(&in, attempt_of, direction::sends, nullptr), in_(&in) {}

 private:
  friend class selection;
  static bool attempt_of(select_case& self, select_lock& lock) { return static_cast<room_case&>(self).attempt(lock); }
  bool attempt(select_lock& lock) noexcept {
    if (in_->full() && !in_->closed()) return false;
    came_to(channel_waiter::outcome::delivered);
    lock.unlock();
    return true;
  }

  channel_core* in_;
};

}  // namespace heddle::detail
