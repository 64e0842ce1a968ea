// SPDX-License-Identifier: BSL-1.0
//
// The C functions that a preloaded library takes over.
#include <cerrno>
#include <cstddef>
#include <cstdint>

#include "at_work.hpp"
#include "blocks.hpp"
#include "scavenger.hpp"

using namespace heddle::detail;

#define HEDDLE_SHIM extern "C" __attribute__((visibility("default")))

namespace {

[[gnu::cold, gnu::noinline]] void* no_memory() noexcept {
  errno = ENOMEM;
  return nullptr;
}

inline void* checked(void* p) noexcept {
  if (p == nullptr) [[unlikely]]
    return no_memory();
  return p;
}

bool is_power_of_two(std::size_t n) noexcept { return n != 0 && (n & (n - 1)) == 0; }

}  // namespace

HEDDLE_SHIM void* malloc(std::size_t size) noexcept { return checked(blocks::allocate(size)); }

HEDDLE_SHIM void free(void* p) noexcept { blocks::deallocate(p); }

HEDDLE_SHIM void* calloc(std::size_t n, std::size_t size) noexcept {
  std::size_t bytes = 0;
  if (__builtin_mul_overflow(n, size, &bytes)) return no_memory();
  return checked(blocks::allocate_zeroed(bytes));
}

HEDDLE_SHIM void* realloc(void* p, std::size_t size) noexcept {
  if (p == nullptr) return checked(blocks::allocate(size));
  if (size == 0) {  // as glibc does
    blocks::deallocate(p);
    return nullptr;
  }
  return checked(blocks::reallocate(p, size));
}

HEDDLE_SHIM void* reallocarray(void* p, std::size_t n, std::size_t size) noexcept {
  std::size_t bytes = 0;
  if (__builtin_mul_overflow(n, size, &bytes)) return no_memory();
  return realloc(p, bytes);
}

HEDDLE_SHIM void* memalign(std::size_t alignment, std::size_t size) noexcept {
  if (!is_power_of_two(alignment)) {  // glibc takes the next one
    std::size_t next = 1;
    while (next < alignment && next != 0) next *= 2;
    if (next == 0) {
      errno = EINVAL;
      return nullptr;
    }
    alignment = next;
  }
  return checked(blocks::allocate_aligned(alignment, size));
}

HEDDLE_SHIM void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept {
  if (!is_power_of_two(alignment)) {
    errno = EINVAL;
    return nullptr;
  }
  return checked(blocks::allocate_aligned(alignment, size));
}

HEDDLE_SHIM int posix_memalign(void** to, std::size_t alignment, std::size_t size) noexcept {
  if (!is_power_of_two(alignment) || alignment % sizeof(void*) != 0) return EINVAL;
  void* const p = blocks::allocate_aligned(alignment, size);
  if (p == nullptr) return ENOMEM;
  *to = p;
  return 0;
}

HEDDLE_SHIM void* valloc(std::size_t size) noexcept { return checked(blocks::allocate_aligned(4096, size)); }

HEDDLE_SHIM void* pvalloc(std::size_t size) noexcept {
  if (size > SIZE_MAX - 4095) return no_memory();
  return checked(blocks::allocate_aligned(4096, (size + 4095) & ~std::size_t{4095}));
}

HEDDLE_SHIM std::size_t malloc_usable_size(void* p) noexcept { return p == nullptr ? 0 : blocks::usable_size(p); }

HEDDLE_SHIM int malloc_trim(std::size_t) noexcept {
  const at_work here;
  return here && the_scavenger.release_all() != 0;
}

HEDDLE_SHIM void free_sized(void* p, std::size_t size) noexcept { blocks::deallocate_within(p, size); }
HEDDLE_SHIM void free_aligned_sized(void* p, std::size_t alignment, std::size_t size) noexcept {
  blocks::deallocate_aligned(p, alignment, size);
}
HEDDLE_SHIM void cfree(void* p) noexcept { blocks::deallocate(p); }

// glibc's own names for the same, which some programs call, and the blocks of which they give to free().
#if defined(__clang__)
#define HEDDLE_ALIAS(name, of) HEDDLE_SHIM decltype(of) name __attribute__((alias(#of)))
#else
#define HEDDLE_ALIAS(name, of) HEDDLE_SHIM decltype(of) name __attribute__((alias(#of), copy(of)))
#endif
HEDDLE_ALIAS(__libc_malloc, malloc);
HEDDLE_ALIAS(__libc_free, free);
HEDDLE_ALIAS(__libc_calloc, calloc);
HEDDLE_ALIAS(__libc_realloc, realloc);
HEDDLE_ALIAS(__libc_memalign, memalign);
HEDDLE_ALIAS(__libc_valloc, valloc);
HEDDLE_ALIAS(__libc_pvalloc, pvalloc);
HEDDLE_ALIAS(__posix_memalign, posix_memalign);
