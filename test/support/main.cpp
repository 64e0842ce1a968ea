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

int main(int argc, char** argv) { return boost::unit_test::unit_test_main(&name_the_module, argc, argv); }
