// SPDX-License-Identifier: BSL-1.0
//
// For malloc() in the resolver of an ifunc of the program. The loader calls such a resolver before it has filled in
// thread-local variables, all of which are zeros until then. Only one of ours must not be 0. A resolver of this library
// sets it; the loader calls that as it relocates this library, just before the program. Later the loader fills in all
// variables. So the thread then begins with another cache; the first one only takes back blocks that it has given.
// Libraries are relocated before this one; their resolvers cannot be served.
#include "nobody.hpp"
#include "thread_cache.hpp"

extern "C" {

using heddle_nothing = void();
static void heddle_do_nothing() {}

// Not static: clang would give it another name than the attribute below has.
__attribute__((used, visibility("hidden"))) heddle_nothing* heddle_begin_before_tls() {
  heddle::detail::this_mcache = &heddle::detail::nobodys_mcache;
  return heddle_do_nothing;
}
__attribute__((ifunc("heddle_begin_before_tls"), visibility("hidden"))) void heddle_before_tls();

/// Refers to the function above, so that the loader has something to resolve.
__attribute__((used, visibility("hidden"))) heddle_nothing* heddle_before_tls_is = heddle_before_tls;

}  // extern "C"
