// SPDX-License-Identifier: BSL-1.0
//
// Operator new needs C++'s runtime (libstdc++ or libc++) when there is no memory. A C program has none when it begins.
// It may get one later, with a library that it opens, and that library alone may see it (RTLD_LOCAL). So it is looked
// for when it is needed: where everybody finds names; where those do that the caller's library needs; and among what is
// loaded.
#pragma once

#include <cstddef>
#include <new>

/// The address of the code that has called the function in which this stands.
#define HEDDLE_CALLER __builtin_return_address(0)

namespace heddle::detail::cpp_runtime {

/// The program's handler for want of memory; null if it has none. `caller`: an address in the code that wants memory.
std::new_handler handler(const void* caller) noexcept;

/// Throws std::bad_alloc. Without a runtime it says so on stderr, and ends the process by abort().
[[noreturn]] void throw_bad_alloc(std::size_t size, const void* caller);

/// The runtime's own `name`, a mangled form of operator new with std::nothrow: it calls the form that throws, and
/// catches. Null if there is none.
void* nothrow_operator(const char* name, const void* caller) noexcept;

}  // namespace heddle::detail::cpp_runtime
