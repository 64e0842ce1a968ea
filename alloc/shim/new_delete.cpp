// SPDX-License-Identifier: BSL-1.0
//
// operator new and delete in every form. C++'s runtime is there if the program has use for them, and is not if not: its
// functions are referred to weakly, so that the library serves C programs without it.
#include <dlfcn.h>

#include <cstddef>
#include <cstdlib>
#include <new>

#include "blocks.hpp"

namespace std {
[[gnu::weak]] new_handler get_new_handler() noexcept;
[[gnu::weak]] void __throw_bad_alloc();
}  // namespace std

using namespace heddle::detail;

#define HEDDLE_SHIM __attribute__((visibility("default")))

namespace {

inline void* try_allocate(std::size_t size, std::size_t alignment) noexcept {
  return alignment <= grain ? blocks::allocate(size) : blocks::allocate_aligned(alignment, size);
}

/// What operator new does without memory: asks the program's handler for some as long as there is one, then throws.
[[gnu::cold, gnu::noinline]] void* allocate_or_throw(std::size_t size, std::size_t alignment) {
  for (;;) {
    const std::new_handler handler = std::get_new_handler != nullptr ? std::get_new_handler() : nullptr;
    if (handler == nullptr) break;
    handler();
    if (void* const p = try_allocate(size, alignment); p != nullptr) return p;
  }
  if (std::__throw_bad_alloc != nullptr) std::__throw_bad_alloc();
  std::abort();
}

/// The form that does not throw lets handlers be called, which may throw: libstdc++'s own catches that.
template <class... Args>
[[gnu::cold, gnu::noinline]] void* ask_libstdcxx(const char* name, Args... args) noexcept {
  using function = void* (*)(Args..., const std::nothrow_t&);
  const auto next = reinterpret_cast<function>(::dlsym(RTLD_NEXT, name));
  return next != nullptr ? next(args..., std::nothrow_t()) : nullptr;
}

inline void* allocate(std::size_t size, std::size_t alignment = grain) {
  void* const p = try_allocate(size, alignment);
  if (p == nullptr) [[unlikely]]
    return allocate_or_throw(size, alignment);
  return p;
}

}  // namespace

HEDDLE_SHIM void* operator new(std::size_t size) { return allocate(size); }
HEDDLE_SHIM void* operator new[](std::size_t size) { return allocate(size); }
HEDDLE_SHIM void* operator new(std::size_t size, std::align_val_t a) {
  return allocate(size, static_cast<std::size_t>(a));
}
HEDDLE_SHIM void* operator new[](std::size_t size, std::align_val_t a) {
  return allocate(size, static_cast<std::size_t>(a));
}

HEDDLE_SHIM void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  void* const p = blocks::allocate(size);
  return p != nullptr ? p : ask_libstdcxx("_ZnwmRKSt9nothrow_t", size);
}
HEDDLE_SHIM void* operator new[](std::size_t size, const std::nothrow_t&) noexcept {
  void* const p = blocks::allocate(size);
  return p != nullptr ? p : ask_libstdcxx("_ZnamRKSt9nothrow_t", size);
}
HEDDLE_SHIM void* operator new(std::size_t size, std::align_val_t a, const std::nothrow_t&) noexcept {
  void* const p = try_allocate(size, static_cast<std::size_t>(a));
  return p != nullptr ? p : ask_libstdcxx("_ZnwmSt11align_val_tRKSt9nothrow_t", size, a);
}
HEDDLE_SHIM void* operator new[](std::size_t size, std::align_val_t a, const std::nothrow_t&) noexcept {
  void* const p = try_allocate(size, static_cast<std::size_t>(a));
  return p != nullptr ? p : ask_libstdcxx("_ZnamSt11align_val_tRKSt9nothrow_t", size, a);
}

HEDDLE_SHIM void operator delete(void* p) noexcept { blocks::deallocate(p); }
HEDDLE_SHIM void operator delete[](void* p) noexcept { blocks::deallocate(p); }
HEDDLE_SHIM void operator delete(void* p, const std::nothrow_t&) noexcept { blocks::deallocate(p); }
HEDDLE_SHIM void operator delete[](void* p, const std::nothrow_t&) noexcept { blocks::deallocate(p); }
HEDDLE_SHIM void operator delete(void* p, std::size_t size) noexcept { blocks::deallocate_sized(p, size); }
HEDDLE_SHIM void operator delete[](void* p, std::size_t size) noexcept { blocks::deallocate_sized(p, size); }
HEDDLE_SHIM void operator delete(void* p, std::align_val_t) noexcept { blocks::deallocate(p); }
HEDDLE_SHIM void operator delete[](void* p, std::align_val_t) noexcept { blocks::deallocate(p); }
HEDDLE_SHIM void operator delete(void* p, std::align_val_t, const std::nothrow_t&) noexcept { blocks::deallocate(p); }
HEDDLE_SHIM void operator delete[](void* p, std::align_val_t, const std::nothrow_t&) noexcept { blocks::deallocate(p); }
HEDDLE_SHIM void operator delete(void* p, std::size_t size, std::align_val_t a) noexcept {
  blocks::deallocate_aligned(p, static_cast<std::size_t>(a), size);
}
HEDDLE_SHIM void operator delete[](void* p, std::size_t size, std::align_val_t a) noexcept {
  blocks::deallocate_aligned(p, static_cast<std::size_t>(a), size);
}
