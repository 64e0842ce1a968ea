// SPDX-License-Identifier: BSL-1.0
//
// A library that replaces some operators, with blocks of a pool. The shim is found before it, so it has no say.
#include <cstdlib>
#include <new>

namespace {

alignas(16) char pool[1 << 20];
std::size_t used;

void* give(std::size_t n) noexcept {
  n = (n + 15) / 16 * 16;
  return n < sizeof pool ? &pool[(used += n) - n] : &pool[0];
}

}  // namespace

void* operator new(std::size_t n) { return give(n); }
void* operator new(std::size_t n, const std::nothrow_t&) noexcept { return give(n); }
void operator delete(void* p) noexcept {
  const auto* const at = static_cast<char*>(p);
  if (p != nullptr && (at < pool || at >= pool + sizeof pool)) std::abort();
}

/// Allocates and frees in its way, and returns an int that is to be deleted.
int* pool_library_int() {
  int* p = new int[100];
  asm volatile("" : "+r"(p));
  delete[] p;
  p = new (std::nothrow) int;
  asm volatile("" : "+r"(p));
  delete p;
  return new int;
}
