// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>

#include "heddle/asio/detail/inbox.hpp"
#include "heddle/detail/bounded_wait.hpp"
#include "heddle/detail/countdown.hpp"

namespace heddle::asio::detail {

/// A piece of work that a reactor does for a fiber or plain thread, which waits. Lives on the stack of the one that
/// waits, with all that the errand refers to.
///
/// 1. It is held by as many as its constructor says, and by one more for each further command that is sent. Each of
///    them lets go once, as its last touch.
/// 2. The one that waits returns when nobody holds it any more, whatever its bounds say. So buffers, arguments and
///    results stay as long as anything can reach them.
class errand : public command {
 public:
  errand(void (*begin)(command&) noexcept, std::uint32_t holders) noexcept : command(begin), held_(holders) {}

  void let_go() noexcept { held_.done(1, words); }
  /// Waits until all have let go.
  void await() noexcept { held_.wait(words); }
  /// The same. If the bounds end first, `cancel` is sent by send(cancel), which is to bring the end about; it holds the
  /// errand, too. Returns whether it was sent.
  template <class Send>
  bool await(const heddle::detail::wait_bounds& bounds, command& cancel, Send send) {
    if (held_.wait(bounds, words)) return false;
    if (!HEDDLE_PLANTED(cancel_holds_nothing)) held_.add(1, words);
    send(cancel);
    held_.wait(words);
    return true;
  }

 private:
  static constexpr heddle::detail::countdown::words words{
      "use_fiber operation", "hold", "let_go", "one that holds it lets go once", "for %s %p, which %u still hold"};
  heddle::detail::countdown held_;
};

}  // namespace heddle::asio::detail
