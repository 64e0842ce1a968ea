// SPDX-License-Identifier: BSL-1.0
//
// For malloc() in the resolver of an ifunc of the program. The loader calls such a resolver before it has filled in
// thread-local variables, all of which are zeros until then. Only one of ours must not be 0. It is set when this
// library has been relocated, just before the program is. Later the loader fills in all variables. So the thread then
// begins with another cache; the first one only takes back blocks that it has given. Libraries are relocated before
// this one; their resolvers cannot be served.
#include "nobody.hpp"
#include "thread_cache.hpp"
#include "when_relocated.hpp"

static void heddle_begin_before_tls() { heddle::detail::this_mcache = &heddle::detail::nobodys_mcache; }
HEDDLE_WHEN_RELOCATED(heddle_begin_before_tls)
