// SPDX-License-Identifier: BSL-1.0
#include "replaced_operators.hpp"

#include "when_relocated.hpp"

// This library's operators, by names that nobody can replace: in new_delete.cpp.
#define HEDDLE_HIDDEN __attribute__((visibility("hidden")))
extern "C" {
HEDDLE_HIDDEN void* heddle_new(std::size_t);
HEDDLE_HIDDEN void* heddle_new_array(std::size_t);
HEDDLE_HIDDEN void* heddle_new_aligned(std::size_t, std::align_val_t);
HEDDLE_HIDDEN void* heddle_new_array_aligned(std::size_t, std::align_val_t);
HEDDLE_HIDDEN void heddle_delete(void*) noexcept;
HEDDLE_HIDDEN void heddle_delete_array(void*) noexcept;
HEDDLE_HIDDEN void heddle_delete_aligned(void*, std::align_val_t) noexcept;
HEDDLE_HIDDEN void heddle_delete_array_aligned(void*, std::align_val_t) noexcept;
}

namespace heddle::detail {

constinit const operators operators_in_use{::operator new, ::operator new[], ::operator new, ::operator new[],
                                           ::operator delete, ::operator delete[], ::operator delete,
                                           ::operator delete[] };
/// In pages that nobody writes any more when the dynamic linker has done: most calls of an operator read it.
[[gnu::section(".data.rel.ro.heddle")]] constinit bool operators_are_replaced = false;

namespace {

constinit const operators operators_from_here{
    heddle_new,    heddle_new_array,    heddle_new_aligned,    heddle_new_array_aligned,
    heddle_delete, heddle_delete_array, heddle_delete_aligned, heddle_delete_array_aligned};

}  // namespace
}  // namespace heddle::detail

static void heddle_look_at_operators() {
  using namespace heddle::detail;
  const operators *used = &operators_in_use, *ours = &operators_from_here;
  asm("" : "+r"(used), "+r"(ours));  // the compiler knows two names for each function, and thinks that they differ
  operators_are_replaced = used->new_object != ours->new_object || used->new_array != ours->new_array ||
                           used->new_aligned_object != ours->new_aligned_object ||
                           used->new_aligned_array != ours->new_aligned_array ||
                           used->delete_object != ours->delete_object || used->delete_array != ours->delete_array ||
                           used->delete_aligned_object != ours->delete_aligned_object ||
                           used->delete_aligned_array != ours->delete_aligned_array;
}
HEDDLE_WHEN_RELOCATED(heddle_look_at_operators)
