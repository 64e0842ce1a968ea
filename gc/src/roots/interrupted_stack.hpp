// SPDX-License-Identifier: BSL-1.0
//
// The stack and the registers of a thread that stands still.
#pragma once

#include "heddle/detail/fiber_roots.hpp"
#include "roots/sink.hpp"
#include "roots/suspension.hpp"
#include "roots/threads.hpp"

namespace heddle::gc::detail {

/// Hands on what the runtime tells.
class relay final : public heddle::detail::word_visitor {
 public:
  explicit relay(root_sink& to) noexcept : to_(to) {}
  void words(const void* from, const void* to) noexcept override { to_.words(from, to); }
  bool wants_again() noexcept override { return to_.wants_again(); }

 private:
  root_sink& to_;
};

/// If a fiber has been interrupted: all that belongs to it.
void scan_interrupted_fiber(const suspension& s, root_sink& sink) noexcept;
/// If a thread has been that runs no fibers: the same of it. False: it is on a stack that is not its own, in a signal
/// handler perhaps.
bool scan_interrupted_thread(const suspension& s, const thread_registration& t, root_sink& sink) noexcept;

}  // namespace heddle::gc::detail
