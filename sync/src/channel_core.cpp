// SPDX-License-Identifier: BSL-1.0
#include "heddle/detail/channel_core.hpp"

#include <cstdlib>
#include <string>

#include "heddle/channel.hpp"
#include "heddle/detail/home_stack.hpp"
#include "heddle/detail/trusted.hpp"
#include "misuse.hpp"

namespace heddle::detail {
namespace {

void finish_all(channel_waiter* first, channel_waiter::outcome how) noexcept {
  while (first) {
    channel_waiter* const rest = first->next;  // a finished one is gone
    first->finish(how);
    first = rest;
  }
}

}  // namespace

bool channel_core::close() noexcept {
  lock_.lock();
  const bool first = !closed_;
  closed_ = true;
  channel_waiter* const receivers = receivers_.take_all();
  channel_waiter* const senders = senders_.take_all();
  lock_.unlock();
  finish_all(receivers, channel_waiter::outcome::closed);
  if (!HEDDLE_PLANTED(close_misses_senders)) finish_all(senders, channel_waiter::outcome::closed);
  return first;
}

void channel_core::destroyed_in_use() const noexcept {
  misuse("channel", this,
         senders_.empty() ? "destroyed while receivers wait; close it and join them first"
                          : "destroyed while senders wait; close it and join them first");
}

}  // namespace heddle::detail

namespace heddle {

channel_closed::channel_closed(const char* operation)
    : std::logic_error(std::string("heddle: ") + operation + " on a closed channel") {}
channel_closed::~channel_closed() = default;

void detail::throw_channel_closed(const char* operation) {
  on_home_stack([operation] { throw channel_closed(operation); });
  std::abort();  // not reached
}

}  // namespace heddle
