// SPDX-License-Identifier: BSL-1.0
//
// Programs that have an operator new or delete of their own. The standard lets them replace some of the forms only: the
// others are made of those. new[] calls the program's new, a delete with a size calls the program's delete, and a form
// that does not throw calls the one that does.
#pragma once

#include <cstddef>
#include <new>

namespace heddle::detail {

/// The forms of which others are made.
struct operators {
  void* (*new_object)(std::size_t);
  void* (*new_array)(std::size_t);
  void* (*new_aligned_object)(std::size_t, std::align_val_t);
  void* (*new_aligned_array)(std::size_t, std::align_val_t);
  void (*delete_object)(void*) noexcept;
  void (*delete_array)(void*) noexcept;
  void (*delete_aligned_object)(void*, std::align_val_t) noexcept;
  void (*delete_aligned_array)(void*, std::align_val_t) noexcept;
};

/// Those that everybody calls: each is this library's, or that of a module that the dynamic linker searches before
/// it, mostly the program.
[[gnu::visibility("hidden")]] extern const operators operators_in_use;

/// Whether one of them is not this library's. Then the others must go by `operators_in_use`. It is known before any
/// code of the program runs.
///
/// A program at a fixed address (-no-pie) that takes the address of an operator seems to replace it: the address is
/// that of a jump in the program, which leads here. So calls go round by it, and sizes at delete are not compared.
[[gnu::visibility("hidden")]] extern bool operators_are_replaced;

}  // namespace heddle::detail
