// SPDX-License-Identifier: BSL-1.0
//
// operator new and delete in every form.
#define BOOST_TEST_MODULE shim_operators
#include <sys/resource.h>

#include <new>

#include "shim/shim.hpp"

using namespace heddle::testing;

namespace {

constexpr std::size_t too_large[] = {PTRDIFF_MAX, PTRDIFF_MAX + 1ul, SIZE_MAX - 4096, SIZE_MAX};
constexpr std::align_val_t at64{64};

/// Calls each form of new, with what stands for the arguments after the size.
template <class F>
void every_new(F&& use) {
  use("new", [](std::size_t n) { return ::operator new(n); });
  use("new[]", [](std::size_t n) { return ::operator new[](n); });
  use("new at 64", [](std::size_t n) { return ::operator new(n, at64); });
  use("new[] at 64", [](std::size_t n) { return ::operator new[](n, at64); });
}
template <class F>
void every_nothrow_new(F&& use) {
  use("new nothrow", [](std::size_t n) noexcept { return ::operator new(n, std::nothrow); });
  use("new[] nothrow", [](std::size_t n) noexcept { return ::operator new[](n, std::nothrow); });
  use("new at 64 nothrow", [](std::size_t n) noexcept { return ::operator new(n, at64, std::nothrow); });
  use("new[] at 64 nothrow", [](std::size_t n) noexcept { return ::operator new[](n, at64, std::nothrow); });
}

struct handler_guard {
  explicit handler_guard(std::new_handler h) { std::set_new_handler(h); }
  ~handler_guard() { std::set_new_handler(nullptr); }
};

int handler_calls;
void* reserve;

}  // namespace

BOOST_AUTO_TEST_SUITE(operators)

BOOST_AUTO_TEST_CASE(new_and_delete_in_every_form) {
  for (std::size_t n : boundary_sizes(2 * MiB)) {
    void* p = opaque(::operator new(n));
    fill(p, n), ::operator delete(p);
    p = opaque(::operator new(n));
    fill(p, n), ::operator delete(p, n);
    p = opaque(::operator new[](n));
    fill(p, n), ::operator delete[](p);
    p = opaque(::operator new[](n));
    fill(p, n), ::operator delete[](p, n);
    p = opaque(::operator new(n, std::nothrow));
    fill(p, n), ::operator delete(p, std::nothrow);
    p = opaque(::operator new[](n, std::nothrow));
    fill(p, n), ::operator delete[](p, std::nothrow);
  }
}

BOOST_AUTO_TEST_CASE(aligned_new_and_delete_in_every_form) {
  for (std::size_t alignment = 1; alignment <= 4 * MiB; alignment *= 2)
    for (std::size_t n :
         {std::size_t{0}, std::size_t{1}, alignment / 2, alignment, alignment + 1, 3 * alignment, 100 * KiB}) {
      const std::align_val_t a{alignment};
      const auto used = [&](void* p) {
        BOOST_REQUIRE((p && reinterpret_cast<std::uintptr_t>(p) % alignment == 0));
        std::memset(p, 1, n);
        return opaque(p);
      };
      ::operator delete(used(::operator new(n, a)), a);
      ::operator delete(used(::operator new(n, a)), n, a);
      ::operator delete[](used(::operator new[](n, a)), a);
      ::operator delete[](used(::operator new[](n, a)), n, a);
      ::operator delete(used(::operator new(n, a, std::nothrow)), a, std::nothrow);
      ::operator delete[](used(::operator new[](n, a, std::nothrow)), a, std::nothrow);
    }
}

/// A function of C23 that frees with a size, if this libc has it, or the shim.
template <class... Args>
auto function_named(const char* name) {
  return reinterpret_cast<void (*)(void*, Args...)>(::dlsym(RTLD_DEFAULT, name));
}

BOOST_AUTO_TEST_CASE(free_with_the_right_size) {
  const auto free_sized = function_named<std::size_t>("free_sized");
  const auto free_aligned_sized = function_named<std::size_t, std::size_t>("free_aligned_sized");
  if (free_sized == nullptr || free_aligned_sized == nullptr) return;
  free_sized(nullptr, 0), free_sized(nullptr, 100), free_aligned_sized(nullptr, 64, 100);
  for (std::size_t n : boundary_sizes(2 * MiB)) {
    free_sized(opaque(std::malloc(n)), n);
    free_sized(opaque(std::calloc(1, n)), n);
    // The block may have stayed where it was.
    for (std::size_t less : {n - n / 8, n / 2 + 1, n / 2, n / 5 + 1})
      if (less != 0) free_sized(opaque(std::realloc(opaque(std::malloc(n)), less)), less);
    free_sized(opaque(std::realloc(opaque(std::malloc(n)), 2 * n)), 2 * n);
  }
  for (std::size_t n : {std::size_t{0}, 32 * MiB, 33 * MiB + 1, 100 * MiB}) {
    free_sized(opaque(std::malloc(n)), n);
    if (n != 0) free_sized(opaque(std::realloc(opaque(std::malloc(n)), n - 10 * MiB)), n - 10 * MiB);
  }
  for (std::size_t alignment = 16; alignment <= 64 * MiB; alignment *= 4)
    for (std::size_t n : {std::size_t{0}, std::size_t{1}, alignment, 3 * alignment, 100 * KiB, 1100 * KiB})
      free_aligned_sized(opaque(std::aligned_alloc(alignment, n)), alignment, n);
}

BOOST_AUTO_TEST_CASE(aligned_delete_of_every_size) {
  for (std::size_t n : boundary_sizes(2 * MiB))
    for (std::size_t alignment : {8, 16, 32, 64, 4096, 16384}) {
      const std::align_val_t a{alignment};
      ::operator delete(opaque(::operator new(n, a)), n, a);
    }
  ::operator delete(opaque(::operator new(64 * MiB, at64)), 64 * MiB, at64);
}

BOOST_AUTO_TEST_CASE(delete_of_null) {
  const auto null = [] { return opaque(static_cast<void*>(nullptr)); };
  ::operator delete(null()), ::operator delete[](null());
  ::operator delete(null(), 8ul), ::operator delete[](null(), 8ul);
  ::operator delete(null(), at64), ::operator delete[](null(), at64);
  ::operator delete(null(), 8ul, at64), ::operator delete[](null(), 8ul, at64);
  ::operator delete(null(), std::nothrow), ::operator delete[](null(), std::nothrow);
  ::operator delete(null(), at64, std::nothrow), ::operator delete[](null(), at64, std::nothrow);
}

BOOST_AUTO_TEST_CASE(no_bytes_are_a_block_of_its_own) {
  const auto use = [](const char* form, auto allocate) {
    void *p = opaque(allocate(0)), *q = opaque(allocate(0));
    BOOST_TEST_CONTEXT(form) BOOST_TEST((p && q && p != q));
    std::free(p), std::free(q);  // also shows that new and malloc share a heap
  };
  every_new(use);
  every_nothrow_new(use);
}

BOOST_AUTO_TEST_CASE(too_much_throws_bad_alloc_or_is_null) {
  for (std::size_t n : too_large) {
    every_new([n](const char* form, auto allocate) {
      BOOST_TEST_CONTEXT(form << " of " << n) BOOST_CHECK_THROW(opaque(allocate(opaque(n))), std::bad_alloc);
    });
    every_nothrow_new([n](const char* form, auto allocate) {
      BOOST_TEST_CONTEXT(form << " of " << n) BOOST_TEST(opaque(allocate(opaque(n))) == nullptr);
    });
  }
}

BOOST_AUTO_TEST_CASE(the_handler_is_asked_until_it_gives_up) {
  const auto gives_up_at_the_fifth = [] {
    if (++handler_calls == 5) std::set_new_handler(nullptr);
  };
  every_new([&](const char* form, auto allocate) {
    handler_guard guard(gives_up_at_the_fifth);
    handler_calls = 0;
    BOOST_TEST_CONTEXT(form) {
      BOOST_CHECK_THROW(opaque(allocate(opaque(SIZE_MAX))), std::bad_alloc);
      BOOST_TEST(handler_calls == 5);
    }
  });
  every_nothrow_new([&](const char* form, auto allocate) {
    handler_guard guard(gives_up_at_the_fifth);
    handler_calls = 0;
    BOOST_TEST_CONTEXT(form) {
      BOOST_TEST(opaque(allocate(opaque(SIZE_MAX))) == nullptr);
      BOOST_TEST(handler_calls == 5);
    }
  });
}

BOOST_AUTO_TEST_CASE(what_the_handler_throws_is_bad_alloc_to_the_caller) {
  struct out_of_patience : std::bad_alloc {};
  handler_guard guard([] { throw out_of_patience(); });
  every_new([](const char* form, auto allocate) {
    BOOST_TEST_CONTEXT(form) BOOST_CHECK_THROW(opaque(allocate(opaque(SIZE_MAX))), out_of_patience);
  });
  every_nothrow_new([](const char* form, auto allocate) {
    BOOST_TEST_CONTEXT(form) BOOST_TEST(opaque(allocate(opaque(SIZE_MAX))) == nullptr);
  });
}

BOOST_AUTO_TEST_CASE(a_handler_that_frees_memory_makes_it_work) {
  BOOST_TEST(ends_well([] {
    // So much that the addresses which the hardened mode keeps out of use, a GiB at most, are not enough for the next.
    reserve = opaque(std::malloc(2 * GiB));
    insist(reserve, "no reserve");
    handler_calls = 0;
    const rlim_t limit = status_bytes("VmSize:") + 64 * MiB;
    const rlimit address_space{limit, limit};
    ::setrlimit(RLIMIT_AS, &address_space);
    std::set_new_handler([] {
      ++handler_calls;
      std::free(reserve);
      reserve = nullptr;
      std::set_new_handler(nullptr);
    });
    void* p = opaque(::operator new(GiB + 256 * MiB, std::nothrow));
    insist(handler_calls == 1, "the handler was not asked once");
    insist(p, "what the handler freed was not to be had");
    ::operator delete(p);
  }));
}

BOOST_AUTO_TEST_SUITE_END()
