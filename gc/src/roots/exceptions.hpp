// SPDX-License-Identifier: BSL-1.0
//
// Objects that have been thrown: between throw and handler, in a handler, and in an std::exception_ptr. They lie in
// memory of malloc, and may be all that leads to a collected object.
//
// The collector lists them where the C++ library asks for their memory: it defines __cxa_allocate_exception() and
// __cxa_free_exception(), which go on to the library's own. They are weak: a program that has the C++ library linked
// into it statically uses that library's. Then, as in a program that finds the library's first (since it loads the
// collector later, by dlopen()), nothing is listed.
//
// An exception holds addresses as a stack does: none of its words is told of. It is scanned once, after all stacks.
// An address can be lost by then in one way. A fiber whose stack has been scanned reads it out of an exception that has
// not been, and the exception is freed. So while stacks are being scanned, the thread that frees one tells of its
// words. One that is made when all stacks have been scanned gets its words from a stack that has been, or out of an
// object that is still to tell of them.
#pragma once

#include <cstddef>

#include "roots/sink.hpp"

namespace heddle::gc::detail {

/// Tells the sink of the words of all exceptions, as copies. When all stacks have been scanned, and before mutators
/// cease to tell of new values. No thread may be stopped. About 1 us for each.
void scan_exceptions(root_sink& sink) noexcept;

}  // namespace heddle::gc::detail
