// SPDX-License-Identifier: BSL-1.0
#include "heddle/detail/wait_description.hpp"

#include <algorithm>
#include <cstdarg>
#include <cstdio>

#include "fiber.hpp"
#include "heddle/detail/trusted.hpp"
#include "report.hpp"

namespace heddle::detail {
namespace {

/// The one that was registered last; the others follow it.
constinit wait_description* registered_last = nullptr;

void describe_nothing(void*, wait_text& to) { to.say("for time to pass"); }
const wait_description plain_sleeps(commit_nothing, describe_nothing);

}  // namespace

void commit_nothing(void*) noexcept {}

wait_description::wait_description(commit_function c, describe_function d, holder_function h) noexcept
    : describe(d), holder(h), commit_(c), next_(registered_last) {
  registered_last = this;
}

wait_description::~wait_description() {
  wait_description** at = &registered_last;
  while (*at != this) at = &(*at)->next_;
  *at = next_;
}

const wait_description* wait_description::of(commit_function commit) noexcept {
  const wait_description* d = registered_last;
  while (d != nullptr && d->commit_ != commit) d = d->next_;
  return d;
}

void wait_text::say(const char* format, ...) noexcept {
  std::va_list arguments;
  va_start(arguments, format);
  const int n = std::vsnprintf(text_.data() + size_, text_.size() - size_, format, arguments);
  va_end(arguments);
  if (n > 0) size_ = std::min(size_ + static_cast<std::size_t>(n), text_.size() - 1);
}

void wait_text::say_caller(const void* caller) noexcept {
  const fiber* const f = fiber_pool::instance().find(caller);
  if (f == nullptr) return say("a plain thread");
  if (f->state.load(std::memory_order_relaxed) == fiber_state::free) return say("a fiber that has ended");
  std::array<char, 128> name;
  say("%s", detail::describe(*f, name.data(), name.size()));
}

}  // namespace heddle::detail
