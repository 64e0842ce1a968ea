// SPDX-License-Identifier: BSL-1.0
//
// Programs in C get a C++ runtime with a library that they open, or none: operator new without memory.
#define BOOST_TEST_MODULE shim_cpp_library
#include "shim/shim.hpp"

using namespace heddle::testing;

namespace {

template <class... Words>
death end_of_host(Words... words) {
  return death_of([&] {
    ::execl(HEDDLE_SHIM_CPP_LIBRARY_HOST, HEDDLE_SHIM_CPP_LIBRARY_HOST, words..., static_cast<char*>(nullptr));
    ::_exit(127);
  });
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cpp_library)

BOOST_AUTO_TEST_CASE(what_a_library_of_a_C_program_throws_it_can_catch) {
  for (const char* library : {HEDDLE_SHIM_CPP_LIBRARY, HEDDLE_SHIM_CPP_LIBRARY_ALONE})
    for (const char* scope : {"local", "global"}) {
      const death how = end_of_host(library, scope);
      BOOST_TEST_CONTEXT(library << ' ' << scope << ": " << how.text << "signal " << how.signal)
      BOOST_TEST((how.signal == 0 && how.status == 0));
    }
}

BOOST_AUTO_TEST_CASE(without_a_runtime_it_is_said_that_nothing_can_be_thrown) {
  if (without_shim()) return;
  const death how = end_of_host("none");
  BOOST_TEST_CONTEXT(how.text) {
    BOOST_TEST(how.signal == SIGABRT);
    BOOST_TEST(
        how.says("heddle_malloc: operator new(1125899906842624): no memory, and std::bad_alloc cannot be thrown"));
  }
}

BOOST_AUTO_TEST_SUITE_END()
