// SPDX-License-Identifier: BSL-1.0
//
// The sources of this library, each by what finds libc's functions for it. One of them calls all: so a program that
// links the static library has all as soon as it has one.
#pragma once

namespace heddle::blocking_calls {

void find_connection_functions() noexcept;
void find_receive_functions() noexcept;
void find_send_functions() noexcept;
void find_sleep_functions() noexcept;
void find_wait_functions() noexcept;

}  // namespace heddle::blocking_calls
