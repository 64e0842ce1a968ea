// SPDX-License-Identifier: BSL-1.0
//
// With its option detect_stack_use_after_return AddressSanitizer keeps locals whose address is taken in fake frames,
// beside the stack. A function has the address of its fake frame on the stack, or in a register: from there a scan of
// stacks goes on to it. In other builds nothing of this is left.
#pragma once

#include <cstdint>

#if defined(__SANITIZE_ADDRESS__)
#define HEDDLE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HEDDLE_ASAN 1
#endif
#endif
#ifdef HEDDLE_ASAN
#include <sanitizer/asan_interface.h>
#endif

namespace heddle::detail {

#ifdef HEDDLE_ASAN
/// Of the stack that the caller runs on; null: there is none. Async-signal-safe.
inline void* current_fake_stack() noexcept { return __asan_get_current_fake_stack(); }

/// Tells of the fake frames to which words in [from, to) lead, of functions that have not returned. The functions whose
/// fake stack it is stand still. O(words).
template <class Visitor>
[[gnu::no_sanitize_address]] void visit_fake_frames(Visitor& v, void* fake_stack, const void* from,
                                                    const void* to) noexcept {
  if (fake_stack == nullptr) return;
  for (auto* w = static_cast<const volatile std::uintptr_t*>(from); w != to; ++w) {
    void* begin = nullptr;
    void* end = nullptr;
    const std::uintptr_t word = *w;
    if (__asan_addr_is_in_fake_stack(fake_stack, reinterpret_cast<void*>(word), &begin, &end) != nullptr)
      v.words(begin, end);
  }
}
#else
inline void* current_fake_stack() noexcept { return nullptr; }
template <class Visitor>
void visit_fake_frames(Visitor&, void*, const void*, const void*) noexcept {}
#endif

}  // namespace heddle::detail
