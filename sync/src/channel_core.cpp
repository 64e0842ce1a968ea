// SPDX-License-Identifier: BSL-1.0
#include "heddle/detail/channel_core.hpp"

#include <cstdlib>
#include <string>

#include "heddle/channel.hpp"
#include "heddle/detail/home_stack.hpp"
#include "heddle/detail/trusted.hpp"
#include "heddle/detail/wait_description.hpp"
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

/// A random number that is not the clock's own digits: channels that each draw only once, one after the other, would
/// otherwise choose in a pattern. Not from an address, which differs between runs of the explorer. Source: the
/// finalizer of SplitMix64 (G. Steele, D. Lea, C. Flood, "Fast Splittable Pseudorandom Number Generators").
std::uint32_t fresh_luck() noexcept {
  std::uint64_t z = static_cast<std::uint64_t>(platform::now());
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return static_cast<std::uint32_t>(z >> 32) | 1u;
}

}  // namespace

bool channel_core::close() noexcept {
  lock_.lock();
  const bool first = !closed_;
  closed_ = true;
  channel_waiter* const receivers = receivers_.take_claimed();
  channel_waiter* const senders = senders_.take_claimed();
  lock_.unlock();
  finish_all(receivers, channel_waiter::outcome::closed);
  if (!HEDDLE_PLANTED(close_misses_senders)) finish_all(senders, channel_waiter::outcome::closed);
  return first;
}

// Here, so that it has one address in the process, by which reports know it.
void channel_core::unlock_for_sleeper(void* core) noexcept { static_cast<channel_core*>(core)->unlock(); }

/// Source: G. Marsaglia, "Xorshift RNGs"; D. Lemire, "Fast Random Integer Generation in an Interval", biased by 2^-32.
std::uint32_t channel_core::draw(std::uint32_t n) noexcept {
  if (luck_ == 0) [[unlikely]]
    luck_ = fresh_luck();
  luck_ ^= luck_ << 13;
  luck_ ^= luck_ >> 17;
  luck_ ^= luck_ << 5;
  return static_cast<std::uint32_t>((std::uint64_t{luck_} * n) >> 32);
}

/// How reports describe a fiber that waits at one channel.
struct channel_waits {
  static const waiter& waiter_of(const channel_waiter& w) noexcept { return *w.self; }
  static void say_state(const channel_core& c, wait_text& to) noexcept {
    if (c.capacity_ == 0)
      to.say("channel %p (unbuffered", static_cast<const void*>(&c));
    else
      to.say("channel %p (%zu of %zu", static_cast<const void*>(&c), c.size_, c.capacity_);
    to.say(c.closed_ ? ", closed)" : ", not closed)");
  }
  static void describe(void* argument, wait_text& to) {
    const auto& c = *static_cast<const channel_core*>(argument);
    if (to.find(c.receivers_, waiter_of) != nullptr) {
      to.say("to receive from ");
      say_state(c, to);
      to.say(", until a send() or close()");
    } else if (to.find(c.senders_, waiter_of) != nullptr) {
      to.say("to send to ");
      say_state(c, to);
      to.say(", until a receive() or close()");
    } else {
      to.say("at ");
      say_state(c, to);
    }
  }
  static const wait_description registered;
};
const wait_description channel_waits::registered(channel_core::unlock_for_sleeper, channel_waits::describe);

void channel_core::destroyed_in_use() const noexcept {
  detail::destroyed_in_use("channel", this,
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

no_value_received::no_value_received(channel_status why)
    : std::logic_error(why == channel_status::timed_out ? "heddle: value() of a receive that timed out"
                       : why == channel_status::stopped ? "heddle: value() of a receive that was stopped"
                                                        : "heddle: value() of a receive from a closed channel"),
      status_(why) {}
no_value_received::~no_value_received() = default;

void detail::throw_no_value_received(channel_status why) {
  on_home_stack([why] { throw no_value_received(why); });
  std::abort();  // not reached
}

}  // namespace heddle
