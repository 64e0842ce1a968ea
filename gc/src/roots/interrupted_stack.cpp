// SPDX-License-Identifier: BSL-1.0
#include "roots/interrupted_stack.hpp"

#include <algorithm>
#include <cstdint>

#include "heddle/detail/fake_frames.hpp"
#include "roots/registers.hpp"

namespace heddle::gc::detail {

namespace {
constexpr std::uintptr_t red_zone = 128;  // bytes below the stack pointer that a function may use

/// Goes on to the fake frames of the thread that stands still.
class with_fake_frames final : public root_sink {
 public:
  with_fake_frames(root_sink& to, void* fake_stack) noexcept : to_(to), fake_stack_(fake_stack) {}
  void words(const void* from, const void* to) noexcept override {
    to_.words(from, to);
    heddle::detail::visit_fake_frames(to_, fake_stack_, from, to);
  }

 private:
  root_sink& to_;
  void* const fake_stack_;
};
}  // namespace

void scan_interrupted_fiber(const suspension& s, root_sink& sink) noexcept {
  if (s.found().kind != heddle::detail::interrupted_kind::fiber) return;
  relay to(sink);
  with_fake_frames all(sink, s.fake_stack());
  if (suspension::has_registers) scan_registers(s.registers(), all);
  heddle::detail::visit_interrupted_fiber(to, *s.found().running, s.stack_pointer());
  heddle::detail::visit_caught_exceptions(to, s.found().caught);
}

bool scan_interrupted_thread(const suspension& s, const thread_registration& t, root_sink& sink) noexcept {
  if (s.found().kind != heddle::detail::interrupted_kind::plain_thread) return true;
  with_fake_frames all(sink, s.fake_stack());
  relay to(all);
  const std::uintptr_t pointer = s.stack_pointer();
  if (pointer - t.stack_bottom() < t.stack_top() - t.stack_bottom()) {
    const std::uintptr_t from = std::max(pointer - red_zone, t.stack_bottom());
    all.words(reinterpret_cast<const void*>(from & ~std::uintptr_t{7}),
              reinterpret_cast<const void*>(t.stack_top() & ~std::uintptr_t{7}));
  } else if (!heddle::detail::visit_forked_stack(to, pointer)) {
    return false;
  }
  if (suspension::has_registers) scan_registers(s.registers(), all);
  heddle::detail::visit_caught_exceptions(to, t.caught());
  return true;
}

}  // namespace heddle::gc::detail
