// SPDX-License-Identifier: BSL-1.0
//
// operator new and delete in every form. Those that the standard makes of others are that only where a program has
// replaced one of these: see replaced_operators.hpp.
#include <cstddef>
#include <new>

#include "blocks.hpp"
#include "cpp_runtime.hpp"
#include "replaced_operators.hpp"

using namespace heddle::detail;

#define HEDDLE_SHIM __attribute__((visibility("default")))

namespace {

inline void* try_allocate(std::size_t size, std::size_t alignment = grain) noexcept {
  return alignment <= grain ? blocks::allocate(size) : blocks::allocate_aligned(alignment, size);
}

/// What operator new does without memory: asks the program's handler for some as long as there is one, then throws.
[[gnu::cold, gnu::noinline]] void* allocate_or_throw(std::size_t size, std::size_t alignment, const void* caller) {
  for (;;) {
    const std::new_handler handler = cpp_runtime::handler(caller);
    if (handler == nullptr) cpp_runtime::throw_bad_alloc(size, caller);
    handler();
    if (void* const p = try_allocate(size, alignment); p != nullptr) return p;
  }
}

/// Inlined always, so that HEDDLE_CALLER has called operator new.
[[gnu::always_inline]] inline void* allocate(std::size_t size, std::size_t alignment = grain) {
  void* const p = try_allocate(size, alignment);
  if (p == nullptr) [[unlikely]]
    return allocate_or_throw(size, alignment, HEDDLE_CALLER);
  return p;
}

/// A form that does not throw, by the runtime, which can catch: it calls the form that throws.
template <auto Throwing, class... Args>
[[gnu::cold, gnu::noinline]] void* ask_runtime(const char* name, const void* caller, Args... args) noexcept {
  // Without a handler there is nothing more to try.
  if (!operators_are_replaced && cpp_runtime::handler(caller) == nullptr) return nullptr;
  using function = void* (*)(Args..., const std::nothrow_t&);
  const auto f = reinterpret_cast<function>(cpp_runtime::nothrow_operator(name, caller));
  if (f != nullptr) return f(args..., std::nothrow_t());
  return operators_are_replaced ? (operators_in_use.*Throwing)(args...) : nullptr;
}

/// `name`: of this form; `Throwing`: the one that throws.
template <auto Throwing, class... Alignment>
[[gnu::always_inline]] inline void* allocate_nothrow(const char* name, std::size_t size, Alignment... a) noexcept {
  if (operators_are_replaced) [[unlikely]]
    return ask_runtime<Throwing>(name, HEDDLE_CALLER, size, a...);
  void* const p = try_allocate(size, static_cast<std::size_t>(a)...);
  if (p == nullptr) [[unlikely]]
    return ask_runtime<Throwing>(name, HEDDLE_CALLER, size, a...);
  return p;
}

}  // namespace

HEDDLE_SHIM void* operator new(std::size_t size) { return allocate(size); }
HEDDLE_SHIM void* operator new(std::size_t size, std::align_val_t a) {
  return allocate(size, static_cast<std::size_t>(a));
}
HEDDLE_SHIM void* operator new[](std::size_t size) {
  if (operators_are_replaced) [[unlikely]]
    return operators_in_use.new_object(size);
  return allocate(size);
}
HEDDLE_SHIM void* operator new[](std::size_t size, std::align_val_t a) {
  if (operators_are_replaced) [[unlikely]]
    return operators_in_use.new_aligned_object(size, a);
  return allocate(size, static_cast<std::size_t>(a));
}

HEDDLE_SHIM void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return allocate_nothrow<&operators::new_object>("_ZnwmRKSt9nothrow_t", size);
}
HEDDLE_SHIM void* operator new[](std::size_t size, const std::nothrow_t&) noexcept {
  return allocate_nothrow<&operators::new_array>("_ZnamRKSt9nothrow_t", size);
}
HEDDLE_SHIM void* operator new(std::size_t size, std::align_val_t a, const std::nothrow_t&) noexcept {
  return allocate_nothrow<&operators::new_aligned_object>("_ZnwmSt11align_val_tRKSt9nothrow_t", size, a);
}
HEDDLE_SHIM void* operator new[](std::size_t size, std::align_val_t a, const std::nothrow_t&) noexcept {
  return allocate_nothrow<&operators::new_aligned_array>("_ZnamSt11align_val_tRKSt9nothrow_t", size, a);
}

HEDDLE_SHIM void operator delete(void* p) noexcept { blocks::deallocate(p); }
HEDDLE_SHIM void operator delete(void* p, std::align_val_t) noexcept { blocks::deallocate(p); }
HEDDLE_SHIM void operator delete[](void* p) noexcept {
  if (operators_are_replaced) [[unlikely]]
    return operators_in_use.delete_object(p);
  blocks::deallocate(p);
}
HEDDLE_SHIM void operator delete[](void* p, std::align_val_t a) noexcept {
  if (operators_are_replaced) [[unlikely]]
    return operators_in_use.delete_aligned_object(p, a);
  blocks::deallocate(p);
}
HEDDLE_SHIM void operator delete(void* p, const std::nothrow_t&) noexcept {
  if (operators_are_replaced) [[unlikely]]
    return operators_in_use.delete_object(p);
  blocks::deallocate(p);
}
HEDDLE_SHIM void operator delete(void* p, std::size_t size) noexcept {
  if (operators_are_replaced) [[unlikely]]
    return operators_in_use.delete_object(p);
  blocks::deallocate_sized(p, size);
}
HEDDLE_SHIM void operator delete(void* p, std::align_val_t a, const std::nothrow_t&) noexcept {
  if (operators_are_replaced) [[unlikely]]
    return operators_in_use.delete_aligned_object(p, a);
  blocks::deallocate(p);
}
HEDDLE_SHIM void operator delete(void* p, std::size_t size, std::align_val_t a) noexcept {
  if (operators_are_replaced) [[unlikely]]
    return operators_in_use.delete_aligned_object(p, a);
  blocks::deallocate_aligned(p, static_cast<std::size_t>(a), size);
}
HEDDLE_SHIM void operator delete[](void* p, const std::nothrow_t&) noexcept {
  if (operators_are_replaced) [[unlikely]]
    return operators_in_use.delete_array(p);
  blocks::deallocate(p);
}
HEDDLE_SHIM void operator delete[](void* p, std::size_t size) noexcept {
  if (operators_are_replaced) [[unlikely]]
    return operators_in_use.delete_array(p);
  blocks::deallocate_sized(p, size);
}
HEDDLE_SHIM void operator delete[](void* p, std::align_val_t a, const std::nothrow_t&) noexcept {
  if (operators_are_replaced) [[unlikely]]
    return operators_in_use.delete_aligned_array(p, a);
  blocks::deallocate(p);
}
HEDDLE_SHIM void operator delete[](void* p, std::size_t size, std::align_val_t a) noexcept {
  if (operators_are_replaced) [[unlikely]]
    return operators_in_use.delete_aligned_array(p, a);
  blocks::deallocate_aligned(p, static_cast<std::size_t>(a), size);
}

// Names that nobody can replace, for replaced_operators.cpp.
asm(R"(
    .macro heddle_name name, of
    .globl \name
    .hidden \name
    .set \name, \of
    .endm
    heddle_name heddle_new, _Znwm
    heddle_name heddle_new_array, _Znam
    heddle_name heddle_new_aligned, _ZnwmSt11align_val_t
    heddle_name heddle_new_array_aligned, _ZnamSt11align_val_t
    heddle_name heddle_delete, _ZdlPv
    heddle_name heddle_delete_array, _ZdaPv
    heddle_name heddle_delete_aligned, _ZdlPvSt11align_val_t
    heddle_name heddle_delete_array_aligned, _ZdaPvSt11align_val_t
)");
