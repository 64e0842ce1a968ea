// SPDX-License-Identifier: BSL-1.0
//
// A C++ library for a program without a C++ runtime: it asks for more memory than there is, in every form of new.
#include <cstddef>
#include <cstdlib>
#include <new>

namespace {

template <class T>
T opaque(T value) {
  asm volatile("" : "+r"(value) : : "memory");
  return value;
}

constexpr std::size_t too_large = std::size_t{1} << 50;
constexpr std::align_val_t at64{64};

template <class F>
bool throws(F f) {
  try {
    opaque(f());
  } catch (const std::bad_alloc&) {
    return true;
  }
  return false;
}

/// How many of the four forms throw std::bad_alloc; how many of those that do not throw are null.
int throwing_forms() {
  return throws([] { return ::operator new(opaque(too_large)); }) +
         throws([] { return ::operator new[](opaque(too_large)); }) +
         throws([] { return ::operator new(opaque(too_large), at64); }) +
         throws([] { return ::operator new[](opaque(too_large), at64); });
}
int null_forms() {
  return (opaque(::operator new(opaque(too_large), std::nothrow)) == nullptr) +
         (opaque(::operator new[](opaque(too_large), std::nothrow)) == nullptr) +
         (opaque(::operator new(opaque(too_large), at64, std::nothrow)) == nullptr) +
         (opaque(::operator new[](opaque(too_large), at64, std::nothrow)) == nullptr);
}

int handler_calls;
void give_up_at_third() {
  if (++handler_calls % 3 == 0) throw std::bad_alloc();
}

}  // namespace

extern "C" {

int library_throws() { return throwing_forms(); }
int library_gives_null() { return null_forms(); }

/// How often the handler was asked by the four forms, which it leaves at its third call.
int library_throws_with_handler() {
  std::set_new_handler(give_up_at_third);
  handler_calls = 0;
  const int n = throwing_forms();
  std::set_new_handler(nullptr);
  return n == 4 ? handler_calls : -n;
}
int library_gives_null_with_handler() {
  std::set_new_handler(give_up_at_third);
  handler_calls = 0;
  const int n = null_forms();
  std::set_new_handler(nullptr);
  return n == 4 ? handler_calls : -n;
}

/// Whether std::bad_alloc comes when libc calls operator new for the library: the first argument of its comparison is
/// the size.
int library_throws_through_libc() {
  void* const form = reinterpret_cast<void*>(static_cast<void* (*)(std::size_t)>(::operator new));
  const auto compare = reinterpret_cast<int (*)(const void*, const void*)>(opaque(form));
  const auto search = opaque(
      static_cast<void* (*)(const void*, const void*, std::size_t, std::size_t, int (*)(const void*, const void*))>(
          std::bsearch));
  const char table[1]{};
  return throws([&] { return search(reinterpret_cast<void*>(opaque(too_large)), table, 1, 1, compare); });
}

/// A block, so that the library's new and the program's free() meet.
void* library_block() { return ::operator new(opaque(std::size_t{100})); }

}  // extern "C"
