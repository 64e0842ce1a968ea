// SPDX-License-Identifier: BSL-1.0
#include "switch.hpp"

#if !defined(HEDDLE_FAST_SWITCH) || !HEDDLE_FAST_SWITCH

namespace heddle::detail {

// Where heddle_jump goes (switch_x86_64.S). The compiler writes the name of Boost's function, since it depends on the
// version: jump_fcontext with C linkage up to 1.87; from 1.88 on a C++ function, and its shared library has no other.
using jump = boost::context::detail::transfer_t (*)(void* to, void* data);
extern "C" [[gnu::visibility("hidden")]] const jump heddle_jump_target;
[[gnu::used]] constinit const jump heddle_jump_target = &boost::context::detail::jump_fcontext;

}  // namespace heddle::detail

#endif
