// SPDX-License-Identifier: BSL-1.0
//
// malloc() in the resolver of an ifunc of the program: the loader calls that before it has filled in thread-local
// variables, all of which are zeros until then. The only one of ours that must not be is set by a resolver of this
// library, which the loader calls as it relocates this one, just before the program. Later it fills in all of them: so
// the thread begins with another cache then, and the first one serves nobody any more but for what has been allocated.
// Libraries are relocated before this one; their resolvers cannot be served.
#include "nobody.hpp"
#include "thread_cache.hpp"

extern "C" {

using heddle_nothing = void();
static void heddle_do_nothing() {}

__attribute__((used)) static heddle_nothing* heddle_begin_before_tls() {
  heddle::detail::this_mcache = &heddle::detail::nobodys_mcache;
  return heddle_do_nothing;
}
__attribute__((ifunc("heddle_begin_before_tls"), visibility("hidden"))) void heddle_before_tls();

/// So that there is something to be resolved.
__attribute__((used, visibility("hidden"))) heddle_nothing* heddle_before_tls_is = heddle_before_tls;

}  // extern "C"
