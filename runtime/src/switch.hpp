// SPDX-License-Identifier: BSL-1.0
//
// The switch of stacks itself. Boost.Context's fcontext layer by default. With -DHEDDLE_SWITCH=fast, six
// registers in our own assembly: it leaves out the x87 and SSE control words, so it is right only in programs
// whose fibers do not change rounding or exception masks across a suspension; see control_words.hpp.
#pragma once

#include <cstddef>

#if defined(HEDDLE_FAST_SWITCH) && HEDDLE_FAST_SWITCH

namespace heddle::detail {
/// Whether a suspended context holds the control words.
inline constexpr bool switch_keeps_control_words = false;
struct transfer {
  void* context;
  void* data;
};
extern "C" {
transfer heddle_switch(void* to, void* data);
void* heddle_make_context(void* top, std::size_t size, void (*entry)(transfer));
transfer heddle_switch_on_top(void* to, void* data, transfer (*f)(transfer));
}
/// What a context's entry and an on-top function receive.
using switch_argument = transfer;
inline transfer switch_context(void* to, void* data) { return heddle_switch(to, data); }
inline void* make_context(void* top, std::size_t size, void (*entry)(transfer)) {
  return heddle_make_context(top, size, entry);
}
inline transfer switch_on_top(void* to, void* data, transfer (*f)(transfer)) {
  return heddle_switch_on_top(to, data, f);
}
}  // namespace heddle::detail

#else

#include <boost/context/detail/fcontext.hpp>

namespace heddle::detail {
inline constexpr bool switch_keeps_control_words = true;
/// Who switched here (as a context to return to), and the word that came along.
struct transfer {
  void* context;
  void* data;
  transfer(boost::context::detail::transfer_t t) noexcept : context(t.fctx), data(t.data) {}
  transfer(void* c, void* d) noexcept : context(c), data(d) {}
};

/// What a context's entry and an on-top function receive.
using switch_argument = boost::context::detail::transfer_t;

extern "C" boost::context::detail::transfer_t heddle_jump(void* to, void* data);  // switch_x86_64.S
inline transfer switch_context(void* to, void* data) { return heddle_jump(to, data); }
using context_entry = void (*)(boost::context::detail::transfer_t);
inline void* make_context(void* top, std::size_t size, context_entry entry) {
  return boost::context::detail::make_fcontext(top, size, entry);
}
/// Resumes `to`, but first runs `f` on its stack; what f returns is what the resumed one receives.
inline transfer switch_on_top(void* to, void* data,
                              boost::context::detail::transfer_t (*f)(boost::context::detail::transfer_t)) {
  return boost::context::detail::ontop_fcontext(to, data, f);
}
}  // namespace heddle::detail

#endif
