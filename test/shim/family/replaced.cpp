// SPDX-License-Identifier: BSL-1.0
//
// A program that replaces some of the forms of operator new and delete: the other forms must be made of those, as the
// standard says. Which ones: OBJECTS, ARRAYS or ALIGNED, whose news are replaced with NEWS and deletes with DELETES.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <new>

namespace {

#ifdef NEWS
constexpr bool news = true;
#else
constexpr bool news = false;
#endif
#ifdef DELETES
constexpr bool deletes = true;
#else
constexpr bool deletes = false;
#endif

int new_calls, delete_calls;

struct no_more {};

/// If both are replaced, something stands before each block, so that nobody else can free it.
constexpr std::size_t before = news && deletes ? 64 : 0;
constexpr char mark[] = "of the program";

[[maybe_unused]] void* give(std::size_t n) {
  ++new_calls;
  if (n > 1'000'000) throw no_more();
  // Larger than asked for: its size at delete is no business of the allocator's.
  char* const block = static_cast<char*>(std::aligned_alloc(64, before + n + 1000));
  if (before != 0) std::strcpy(block, mark);
  return block + before;
}

[[maybe_unused]] void take(void* p) noexcept {
  if (p == nullptr) return;
  ++delete_calls;
  char* const block = static_cast<char*>(p) - before;
  if (before != 0 && std::strcmp(block, mark) != 0) std::puts("a block that the program has not made"), std::abort();
  std::free(block);
}

}  // namespace

#if defined(OBJECTS) && defined(NEWS)
void* operator new(std::size_t n) { return give(n); }
#endif
#if defined(OBJECTS) && defined(DELETES)
void operator delete(void* p) noexcept { take(p); }
#endif
#if defined(ARRAYS) && defined(NEWS)
void* operator new[](std::size_t n) { return give(n); }
#endif
#if defined(ARRAYS) && defined(DELETES)
void operator delete[](void* p) noexcept { take(p); }
#endif
#if defined(ALIGNED) && defined(NEWS)
void* operator new(std::size_t n, std::align_val_t) { return give(n); }
#endif
#if defined(ALIGNED) && defined(DELETES)
void operator delete(void* p, std::align_val_t) noexcept { take(p); }
#endif

namespace {

#ifdef OBJECTS
constexpr bool object = true, array = true, aligned = false;
#elif defined(ARRAYS)
constexpr bool object = false, array = true, aligned = false;
#else
constexpr bool object = false, array = false, aligned = true;
#endif

bool failed;

/// `f` must call the program's operators if they are `concerned`: a new and a delete.
template <class F>
void use(const char* forms, bool concerned, F f) {
  for (std::size_t n : {1, 64, 1000, 5000, 300'000}) {
    new_calls = delete_calls = 0;
    f(n);
    if (new_calls == (concerned && news) && delete_calls == (concerned && deletes)) continue;
    std::printf("%s of %zu bytes: %d calls of the program's new, %d of its delete\n", forms, n, new_calls,
                delete_calls);
    failed = true;
  }
}

/// `f` is a form that does not throw, and asks for more than there is.
template <class F>
void fail(const char* form, F f) {
  if (f() == nullptr) return;
  std::printf("%s gives what is not there\n", form);
  failed = true;
}

template <class T>
T opaque(T value) {
  asm volatile("" : "+r"(value) : : "memory");
  return value;
}

constexpr std::align_val_t at64{64};
constexpr std::size_t too_large = std::size_t{1} << 50;

}  // namespace

int main() {
  using std::nothrow;
  const auto o = [](void* p) { return opaque(p); };
  use("new", object, [&](auto n) { ::operator delete(o(::operator new(n))); });
  use("new, delete of a size", object, [&](auto n) { ::operator delete(o(::operator new(n)), n); });
  use("new nothrow", object, [&](auto n) { ::operator delete(o(::operator new(n, nothrow)), nothrow); });
  use("new[]", array, [&](auto n) { ::operator delete[](o(::operator new[](n))); });
  use("new[], delete[] of a size", array, [&](auto n) { ::operator delete[](o(::operator new[](n)), n); });
  use("new[] nothrow", array, [&](auto n) { ::operator delete[](o(::operator new[](n, nothrow)), nothrow); });
  use("new at 64", aligned, [&](auto n) { ::operator delete(o(::operator new(n, at64)), at64); });
  use("new at 64, delete of a size", aligned, [&](auto n) { ::operator delete(o(::operator new(n, at64)), n, at64); });
  use("new at 64 nothrow", aligned,
      [&](auto n) { ::operator delete(o(::operator new(n, at64, nothrow)), at64, nothrow); });
  use("new[] at 64", aligned, [&](auto n) { ::operator delete[](o(::operator new[](n, at64)), at64); });
  use("new[] at 64, delete[] of a size", aligned,
      [&](auto n) { ::operator delete[](o(::operator new[](n, at64)), n, at64); });
  use("new[] at 64 nothrow", aligned,
      [&](auto n) { ::operator delete[](o(::operator new[](n, at64, nothrow)), at64, nothrow); });
  fail("new nothrow", [] { return ::operator new(opaque(too_large), nothrow); });
  fail("new[] nothrow", [] { return ::operator new[](opaque(too_large), nothrow); });
  fail("new at 64 nothrow", [] { return ::operator new(opaque(too_large), at64, nothrow); });
  fail("new[] at 64 nothrow", [] { return ::operator new[](opaque(too_large), at64, nothrow); });
  std::puts(failed ? "wrong" : "right");
  return failed;
}
