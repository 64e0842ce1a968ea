// SPDX-License-Identifier: BSL-1.0
//
// main() of every test program, compiled once; so all of them can share one precompiled <boost/test/unit_test.hpp>,
// which would have to differ if each defined its own BOOST_TEST_MODULE.
#include <errno.h>

#include <boost/test/unit_test.hpp>

namespace {

bool name_the_module() {
  boost::unit_test::framework::master_test_suite().p_name.value = program_invocation_short_name;
  return true;
}

}  // namespace

/// Boost.Test notes the place of each check in a string of its own, whichever thread checks.
extern "C" const char* __tsan_default_suppressions() { return "race:basic_string<*>::_M_replace\n"; }

int main(int argc, char** argv) { return boost::unit_test::unit_test_main(&name_the_module, argc, argv); }
