// SPDX-License-Identifier: BSL-1.0
#include "roots/interrupted_stack.hpp"

#include <algorithm>
#include <cstdint>

#include "roots/registers.hpp"

namespace heddle::gc::detail {

namespace {
constexpr std::uintptr_t red_zone = 128;  // bytes below the stack pointer that a function may use
}  // namespace

void scan_interrupted_fiber(const suspension& s, root_sink& sink) noexcept {
  if (s.found().kind != heddle::detail::interrupted_kind::fiber) return;
  relay to(sink);
  scan_registers(s.registers(), sink);
  heddle::detail::visit_interrupted_fiber(to, *s.found().running, s.stack_pointer());
  heddle::detail::visit_caught_exceptions(to, s.found().caught);
}

bool scan_interrupted_thread(const suspension& s, const thread_registration& t, root_sink& sink) noexcept {
  if (s.found().kind != heddle::detail::interrupted_kind::plain_thread) return true;
  relay to(sink);
  const std::uintptr_t pointer = s.stack_pointer();
  if (pointer - t.stack_bottom() < t.stack_top() - t.stack_bottom()) {
    const std::uintptr_t from = std::max(pointer - red_zone, t.stack_bottom());
    sink.words(reinterpret_cast<const void*>(from & ~std::uintptr_t{7}),
               reinterpret_cast<const void*>(t.stack_top() & ~std::uintptr_t{7}));
  } else if (!heddle::detail::visit_forked_stack(to, pointer)) {
    return false;
  }
  scan_registers(s.registers(), sink);
  heddle::detail::visit_caught_exceptions(to, t.caught());
  return true;
}

}  // namespace heddle::gc::detail
