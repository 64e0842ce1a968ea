// SPDX-License-Identifier: BSL-1.0
//
// A program with a library that replaces some operators, which the dynamic linker finds behind the shim's: blocks of
// the one must not come to the other, also when there is no memory.
#include <new>

int* pool_library_int();

int main() {
  delete pool_library_int();
  int* p = new int[100];
  asm volatile("" : "+r"(p));
  delete[] p;
  std::set_new_handler([] { throw std::bad_alloc(); });
  std::size_t too_large = std::size_t{1} << 50;
  asm volatile("" : "+r"(too_large));
  void* const none = ::operator new(too_large, std::nothrow);
  ::operator delete(none, std::nothrow);
}
