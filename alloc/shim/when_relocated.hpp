// SPDX-License-Identifier: BSL-1.0
//
// Work that must be done before any code of the program runs, and before the constructors of its libraries, some of
// which are called before those of this library. The dynamic linker calls the resolvers of ifuncs as the last thing
// that it does when it relocates a library. So the work stands in one, of a function that nobody calls.
//
// Thread-local variables are there then, all zeros; they are filled in later. libc is relocated, but not initialised.
#pragma once

extern "C" {
using heddle_nothing = void();
}

/// Has f() called then, a static function. Its name begins with heddle_ and is one of its own in all of the library. To
/// stand outside of namespaces.
//
// The resolver is not static: clang would give it another name than the attribute has. The pointer is there so that the
// dynamic linker has something to resolve.
#define HEDDLE_WHEN_RELOCATED(f)                                                        \
  extern "C" {                                                                          \
  static void f##_nothing() {}                                                          \
  __attribute__((used, visibility("hidden"))) heddle_nothing* f##_resolver() {          \
    f();                                                                                \
    return f##_nothing;                                                                 \
  }                                                                                     \
  __attribute__((ifunc(#f "_resolver"), visibility("hidden"))) void f##_ifunc();        \
  __attribute__((used, visibility("hidden"))) heddle_nothing* f##_ifunc_is = f##_ifunc; \
  }
